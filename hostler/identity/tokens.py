"""What a token says, and its compact form: a short packed list, encrypted and signed by Fernet.

A token carries ids and times only. Roles, and whether user and project are enabled, are looked up when it is used, so a
change also affects tokens that were issued before it.
"""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import secrets
import uuid
from typing import Any

import msgpack

from hostler import ids
from hostler.identity.keys import KeyRing

_VERSION = 1
# The Fernet text of our payloads is far shorter; anything longer cannot be one of our tokens.
_MAX_TEXT = 1024
_METHODS = ("password", "token", "application_credential")
_SCOPES = ("unscoped", "project", "domain", "system")
_EPOCH = dt.datetime(1970, 1, 1)
_MICROSECOND = dt.timedelta(microseconds=1)


@dataclasses.dataclass(frozen=True)
class Scope:
    """What a token is for: `kind` is unscoped, project, domain or system; `id` names the project or domain."""

    kind: str
    id: str | None = None


UNSCOPED = Scope("unscoped")
SYSTEM = Scope("system")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Token:
    """The content of a token. `audit_ids` are its own id and, if it was derived from another, the first ancestor's."""

    user_id: str
    scope: Scope
    methods: tuple[str, ...]
    issued_at: dt.datetime
    expires_at: dt.datetime
    audit_ids: tuple[str, ...]
    application_credential_id: str | None = None

    @property
    def audit_id(self) -> str:
        """The id that revokes this one token."""
        return self.audit_ids[0]


def new_audit_id() -> str:
    """Return a random id of 22 characters."""
    return secrets.token_urlsafe(16)


def seal(ring: KeyRing, token: Token) -> str:
    """Return the token's text."""
    methods = sum(1 << _METHODS.index(method) for method in token.methods)
    payload = [_VERSION, methods, _pack_id(token.user_id), _SCOPES.index(token.scope.kind), _pack_id(token.scope.id),
               _pack_time(token.issued_at), _pack_time(token.expires_at),
               [base64.urlsafe_b64decode(audit_id + "==") for audit_id in token.audit_ids],
               _pack_id(token.application_credential_id)]
    return ring.encrypt(msgpack.packb(payload))


def unseal(ring: KeyRing, text: str) -> Token | None:
    """Return the token in `text`, or None if we did not issue it. Its expiry is not checked."""
    if len(text) > _MAX_TEXT or not text.isascii():
        return None
    raw = ring.decrypt(text)
    payload = msgpack.unpackb(raw) if raw is not None else None
    if payload is None or payload[0] != _VERSION:
        return None
    _, methods, user_id, scope, scope_id, issued_at, expires_at, audit_ids, credential_id = payload
    return Token(
        user_id=_unpack_id(user_id) or "", scope=Scope(_SCOPES[scope], _unpack_id(scope_id)),
        methods=tuple(name for bit, name in enumerate(_METHODS) if methods >> bit & 1),
        issued_at=_unpack_time(issued_at), expires_at=_unpack_time(expires_at),
        audit_ids=tuple(base64.urlsafe_b64encode(raw_id).decode().rstrip("=") for raw_id in audit_ids),
        application_credential_id=_unpack_id(credential_id))


def _pack_id(identifier: str | None) -> bytes | str | None:
    return uuid.UUID(identifier).bytes if identifier and ids.canonical(identifier) else identifier


def _unpack_id(packed: Any) -> str | None:
    return str(uuid.UUID(bytes=packed)) if isinstance(packed, bytes) else packed


def _pack_time(moment: dt.datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def _unpack_time(microseconds: int) -> dt.datetime:
    return _EPOCH + microseconds * _MICROSECOND
