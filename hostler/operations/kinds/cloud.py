"""Operations on the cloud as a whole, and on its hosts."""

from __future__ import annotations

import dataclasses
from typing import Final

from hostler.operations.kinds.arguments import Arguments
from hostler.operations.kinds.kind import Kind


@dataclasses.dataclass(frozen=True, kw_only=True)
class Audit(Arguments):
    """Names of the checks (none: all), and whether to repair what they find and delete data without any record."""

    checks: tuple[str, ...]
    repair: bool
    delete_unknown: bool


AUDIT: Final = Kind(name="cloud.audit", resources=("cloud",), arguments=Audit, cancellable=False)
DRAIN: Final = Kind(name="host.drain", resources=("host",), arguments=Arguments)

KINDS: Final = (AUDIT, DRAIN)
