"""The tokens of consoles: stored by the api as digests, taken by the proxy.

A token opens one console until it expires, as long as its server exists and is on the host that granted it; with
`single_use` only once. The check and the mark that it was used are one statement, so two proxies cannot both take it.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import orm

from hostler.db.models import ConsoleToken, Server
from hostler.db.moments import now

# Published type → protocol.
TYPES: Final[Mapping[str, str]] = {"novnc": "vnc", "spice-html5": "spice", "serial": "serial"}
# A SPICE session is several connections, one after the other; those of one client in this time are one use.
_SPICE_SESSION_S = 30
# Expired ones go with a later token, a few at a time.
_SWEPT = 100


@dataclasses.dataclass(frozen=True)
class Target:
    """Where a console is, for whom, and the path to show its host."""

    server_id: str
    project_id: str | None
    user_id: str | None
    protocol: str
    address: str
    port: int
    access_path: str
    host_id: str


_COLUMNS = tuple(getattr(ConsoleToken, field.name) for field in dataclasses.fields(Target))


def digest_of(token: str) -> str:
    """Return what is stored of a token."""
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


def add(session: orm.Session, token: str, target: Target, ttl_s: int) -> None:
    """Store a token; it must be new. Sweeps some that expired."""
    expired = session.scalars(sa.select(ConsoleToken.digest).where(ConsoleToken.expires_at < now(-3600))
                              .limit(_SWEPT)).all()
    if expired:
        session.execute(sa.delete(ConsoleToken).where(ConsoleToken.digest.in_(expired)))
    digest = digest_of(token)
    session.add(ConsoleToken(digest=digest, expires_at=now(ttl_s), **dataclasses.asdict(target)))


def take(session: orm.Session, token: str, client: str, *, single_use: bool) -> Target | None:
    """Return what a token opens and mark it as used from `client`; None when it opens nothing (any more)."""
    digest = digest_of(token)
    criterion = _valid(digest)
    if single_use:
        criterion = sa.and_(criterion, sa.or_(ConsoleToken.used_at.is_(None), sa.and_(
            ConsoleToken.protocol == "spice", ConsoleToken.used_from == client,
            ConsoleToken.used_at > now(-_SPICE_SESSION_S))))
    first = sa.func.coalesce(ConsoleToken.used_at, now())
    marked: Any = session.execute(sa.update(ConsoleToken).where(criterion).values(used_at=first, used_from=client)
                                  .execution_options(synchronize_session=False))
    return _read(session, ConsoleToken.digest == digest) if marked.rowcount else None


def find(session: orm.Session, token: str) -> Target | None:
    """Return what a token opens, without using it."""
    return _read(session, sa.and_(_valid(digest_of(token)), ConsoleToken.used_at.is_(None)))


def _read(session: orm.Session, criterion: sa.ColumnElement[bool]) -> Target | None:
    row = session.execute(sa.select(*_COLUMNS).where(criterion)).one_or_none()
    return Target(*row) if row is not None else None


def _valid(digest: str) -> sa.ColumnElement[bool]:
    there = sa.exists().where(Server.id == ConsoleToken.server_id, Server.host_id == ConsoleToken.host_id,
                              Server.deleted_at.is_(None))
    return sa.and_(ConsoleToken.digest == digest, ConsoleToken.expires_at > now(), there)
