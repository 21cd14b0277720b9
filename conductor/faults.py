"""Why an operation failed, in words for the user and the administrator."""

from __future__ import annotations

import dataclasses
from typing import Any

from hostler import clock


@dataclasses.dataclass(frozen=True)
class Failure:
    """Why an operation failed: `message` is for the user, `details` for the administrator."""

    code: str
    message: str
    details: str = ""
    http_status: int = 500


def fault_of(failure: Failure) -> dict[str, Any]:
    """Return what a resource shows as its fault."""
    return {"code": failure.http_status, "message": failure.message, "details": failure.details,
            "created": clock.iso_z(clock.utcnow())}
