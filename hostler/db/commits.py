"""A commit whose answer was lost: was it carried out?

When the connection breaks during COMMIT, the client cannot tell. Repeating the transaction regardless would create
everything twice; giving up would refuse what was accepted. So each transaction remembers the keys of rows it inserted
and deleted (we generate ids before the commit), and a repeat looks those up first. The normal case costs nothing.

The absence of a row that others may remove at once (a lock) proves nothing, so one row of each table is remembered,
and finding one of them is enough. Rows written without the ORM's unit of work are not seen, unless `note_row` names
them.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Generic, TypeVar

import sqlalchemy as sa
from sqlalchemy import orm

Result = TypeVar("Result")
_INSERTED, _DELETED = "inserted rows", "deleted rows"


def note_rows(session: orm.Session, _context: object) -> None:
    """Remember what a flush inserted and deleted (a listener of `after_flush`)."""
    for kind, rows in ((_INSERTED, session.new), (_DELETED, session.deleted)):
        noted = session.info.setdefault(kind, {})
        for row in rows:
            noted.setdefault(type(row), orm.object_mapper(row).primary_key_from_instance(row))


def note_row(session: orm.Session, model: type[Any], key: list[Any]) -> None:
    """Remember a row that is inserted without the ORM."""
    session.info.setdefault(_INSERTED, {}).setdefault(model, key)


@dataclasses.dataclass(frozen=True)
class UnsureCommit(Generic[Result]):
    """What a transaction wrote, which may or may not be committed, and what it would have returned."""

    result: Result
    inserted: dict[type[Any], list[Any]]
    deleted: dict[type[Any], list[Any]]

    @classmethod
    def of(cls, session: orm.Session, result: Result) -> UnsureCommit[Result]:
        """Return what is known of `session`'s transaction."""
        return cls(result, session.info.get(_INSERTED, {}), session.info.get(_DELETED, {}))

    def is_durable(self, session: orm.Session) -> bool:
        """Return whether the commit was carried out, as `session` sees it; False also when nothing can tell."""
        if self.inserted:
            return any(_exists(session, model, key) for model, key in self.inserted.items())
        return bool(self.deleted) and not any(_exists(session, model, key) for model, key in self.deleted.items())


def _exists(session: orm.Session, model: type[Any], key: list[Any]) -> bool:
    columns = orm.class_mapper(model).primary_key
    return session.scalar(sa.select(sa.literal(1)).select_from(model).where(
        *(column == value for column, value in zip(columns, key, strict=True)))) is not None
