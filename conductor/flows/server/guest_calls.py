"""server.change_password, crash_dump, reset_network and inject_network_info: one call to the host.

1. ChangePassword, InjectNmi or ResetNetwork   the agent does it (nothing to undo)
"""

from __future__ import annotations

from conductor.procedure import in_order
from conductor.tasks.host.guest_calls import ChangePassword, InjectNmi, ResetNetwork
from hostler.operations.kinds import server as kinds

# No record changes; after a failure the server is as it was.
PROCEDURES = (in_order(kinds.CHANGE_PASSWORD, [ChangePassword]), in_order(kinds.CRASH_DUMP, [InjectNmi]),
              in_order(kinds.RESET_NETWORK, [ResetNetwork]), in_order(kinds.INJECT_NETWORK_INFO, [ResetNetwork]))
