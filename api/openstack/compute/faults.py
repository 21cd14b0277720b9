"""How the Compute API words errors."""

from __future__ import annotations

from typing import Any

from hostler import errors

_NAMES = {400: "badRequest", 401: "unauthorized", 403: "forbidden", 404: "itemNotFound", 405: "badMethod",
          409: "conflictingRequest", 413: "overLimit", 415: "badMediaType", 429: "overLimit", 501: "notImplemented",
          503: "serviceUnavailable"}


def render(status: int, error: errors.HostlerError, _request_id: str) -> dict[str, Any]:
    """Return a fault: `{"badRequest": {"code": 400, "message": …}}`."""
    return {_NAMES.get(status, "computeFault"): {"code": status, "message": str(error)}}
