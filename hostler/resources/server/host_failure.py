"""What becomes of a server when its host fails: `restart` evacuates it by itself, `none` leaves it to a person.

Said by the metadata of a server and the extra specs of a flavor, by this name, and of a server group by the operator.
"""

from __future__ import annotations

from typing import Final

POLICY: Final = "hostler:on_host_failure"
RESTART: Final = "restart"
NONE: Final = "none"
CHOICES: Final = (RESTART, NONE)
