"""What an operation remembers while it runs: for its next tries, for its requester, or for later operations.

A note is a name, a key (for notes of which there are several) and a value. Notes are purged with their operation,
except `LEFT_ON`: it tells reconciliation what may be removed from a storage node, so it lives as long as its volume.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import orm

from hostler.db.models import Operation, OperationNote
from hostler.operations import states

EXCLUDED: Final = "excluded"  # keys: hosts or back ends where a try failed
FAILURE: Final = "failure"  # value: why the last try failed
NOT_RESTORED: Final = "not_restored"  # a moving server that could not be put back on its host
LEFT_ON: Final = "left_on"  # keys: back ends where the operation's volume could not be removed
WISH: Final = "wish"  # value: what was asked of a live migration under way
REPORT: Final = "report"  # value: what an audit found, or what stays on a drained host
UNTOLD: Final = "untold"  # of a failure, whose message was deleted
MOVED: Final = "moved"  # keys: servers that a drain sent away; value: the operation that did

_KEYS = sa.select(OperationNote.key).where(
    OperationNote.operation_id == sa.bindparam("operation"), OperationNote.name == sa.bindparam("note"))


def write(session: orm.Session, operation_id: str, name: str, *, key: str = "", value: Any = None) -> None:
    """Write a note, replacing one of the same name and key."""
    note = session.get(OperationNote, (operation_id, name, key))
    if note is not None:
        note.value = value
        return
    resource_id = session.scalar(sa.select(Operation.resource_id).where(Operation.id == operation_id))
    session.add(OperationNote(operation_id=operation_id, name=name, key=key, value=value, resource_id=resource_id))


def erase(session: orm.Session, operation_id: str, name: str, *, key: str = "") -> None:
    """Remove a note, if there is one."""
    session.execute(sa.delete(OperationNote).where(
        OperationNote.operation_id == operation_id, OperationNote.name == name, OperationNote.key == key))


def keys(session: orm.Session, operation_id: str, name: str) -> list[str]:
    """Return the keys under which an operation has notes of this name, sorted."""
    return sorted(session.scalars(_KEYS, {"operation": operation_id, "note": name}))


def are_there(name: str) -> sa.Exists:
    """Return the condition that the operation of the parameter `operation` has notes of this name."""
    return sa.exists().where(OperationNote.operation_id == sa.bindparam("operation"), OperationNote.name == name)


def value(session: orm.Session, operation_id: str, name: str) -> Any:
    """Return the value of a note without key, None when there is none."""
    return session.scalar(sa.select(OperationNote.value).where(
        OperationNote.operation_id == operation_id, OperationNote.name == name, OperationNote.key == ""))


def left_on(session: orm.Session, volume_ids: Collection[str]) -> dict[str, frozenset[str]]:
    """Return volume → back ends where operations that have ended left something of it."""
    unfinished = sa.exists().where(Operation.id == OperationNote.operation_id,
                                   Operation.state.in_(states.UNFINISHED))
    found: dict[str, set[str]] = {}
    for volume_id, backend_id in session.execute(sa.select(OperationNote.resource_id, OperationNote.key).where(
            OperationNote.resource_id.in_(volume_ids), OperationNote.name == LEFT_ON, ~unfinished)):
        found.setdefault(volume_id, set()).add(backend_id)
    return {volume_id: frozenset(backends) for volume_id, backends in found.items()}
