"""One event of the audit trail, in the shape of CADF (DMTF DSP0262) that Keystone's notifications have.

Plain dicts: pycadf would add a dependency for a dozen keys. Every text in an event that a user chose is cut to
`MAX_TEXT`, and JSON escapes what would begin another line.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Final

from hostler import clock, ids

MAX_TEXT: Final = 255
_TYPE: Final = "http://schemas.dmtf.org/cloud/audit/1.0/event"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Initiator:
    """Who asked. Of a login that failed, `id` and the names are as they were sent; None is not known."""

    id: str | None = None
    name: str | None = None
    domain: str | None = None
    project_id: str | None = None
    credential_id: str | None = None
    address: str | None = None
    agent: str | None = None
    request_id: str | None = None
    global_request_id: str | None = None


def make(*, service: str, noun: str, verb: str, status: int, initiator: Initiator, target_id: str | None,
         path: str, observer: str, beside: dict[str, str]) -> tuple[str, dict[str, Any]]:
    """Return an event's type, as in `identity.user.created`, and its content.

    `noun` may be empty (a login has none). `status` is the HTTP answer's, `path` the request's, without its query;
    `observer` names this process's host. `beside` holds the ids of everything else that the path names.
    """
    verb = str(_cut(verb))
    kind = f"{noun}.{verb}" if noun else verb
    user_id = initiator.id or "unknown"
    return f"{service}.{kind}", {
        "typeURI": _TYPE, "id": ids.new_id(), "eventType": "activity",
        "eventTime": f"{clock.iso_micro(clock.utcnow())}+0000",
        "action": f"{verb}.{noun}" if noun else verb,
        "outcome": "success" if status < 400 else "failure",
        "reason": {"reasonType": "HTTP", "reasonCode": str(status)},
        "initiator": _known({
            "typeURI": "service/security/account/user", "id": user_id, "user_id": user_id,
            "username": _cut(initiator.name), "domain": _cut(initiator.domain), "project_id": initiator.project_id,
            "credential_id": _cut(initiator.credential_id),
            "host": _known({"address": initiator.address, "agent": _cut(initiator.agent)}),
            "request_id": initiator.request_id, "global_request_id": initiator.global_request_id}),
        "target": {"typeURI": f"service/{service}/{noun or 'account/user'}", "id": _cut(target_id) or user_id},
        "observer": {"typeURI": f"service/{service}", "id": observer},
        "requestPath": _cut(path),
        **{name: _cut(value) for name, value in beside.items()},
    }


def _known(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _cut(text: str | None) -> str | None:
    return text if text is None or len(text) <= MAX_TEXT else text[:MAX_TEXT] + "…"
