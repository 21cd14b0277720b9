"""How the Block Storage API words errors, and where its statuses differ from the others'."""

from __future__ import annotations

from typing import Any, Final

from hostler import errors

_NAMES = {400: "badRequest", 401: "unauthorized", 403: "forbidden", 404: "itemNotFound", 405: "badMethod",
          406: "notAcceptable", 409: "conflictingRequest", 413: "overLimit", 415: "badMediaType", 429: "overLimit",
          501: "notImplemented", 503: "serviceUnavailable"}

STATUSES: Final = (
    (errors.QuotaExceeded, 413),
    # What a status forbids, or something that depends on it, counts as a mistake of the request here.
    (errors.WrongStatus, 400),
    (errors.InUse, 400),
)


def render(status: int, error: errors.HostlerError, _request_id: str) -> dict[str, Any]:
    """Return an error body such as `{"badRequest": {"code": 400, "message": …}}`."""
    return {_NAMES.get(status, "computeFault"): {"code": status, "message": str(error)}}
