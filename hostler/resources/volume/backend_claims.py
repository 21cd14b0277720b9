"""Claims on back ends: what volumes and snapshots take of a back end, exact under any number of claimers.

Use is not stored: it is what live volumes that are (or move) there have claimed, and the snapshots of those that are
there. Adding to it locks the back end's row, or moves its `generation` by compare-and-set from a value for which it is
known to fit; releasing moves it, too (`touch`). The free space that the agent reports also counts: other programs
may use the same storage.

>>> claim(session, backend_id, gib=10, expected_generation=None)   # then, in the same transaction,
>>> volume.backend_id = backend_id                                 # what makes it count

Lock order: volumes, then back ends in the order of their ids.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy import orm

from hostler.db.models import Backend, Snapshot, Volume

_BACKENDS = cast(sa.Table, Backend.__table__)
_COLUMNS = (Backend.id, Backend.driver, Backend.generation, Backend.capabilities, Backend.total_gib, Backend.free_gib,
            Backend.reserved_percent, Backend.over_subscription)


def _uses(wanted: Callable[[Any], sa.ColumnElement[bool]]) -> sa.CompoundSelect[Any]:
    parts = [
        sa.select(column.label("backend_id"), sa.func.sum(Volume.claimed_gib).label("gib"))
        .where(Volume.deleted_at.is_(None), wanted(column)).group_by(column)
        for column in (Volume.backend_id, Volume.target_backend_id)]
    snapshots = sa.select(Volume.backend_id.label("backend_id"), sa.func.sum(Snapshot.size_gib).label("gib")).join(
        Volume, Volume.id == Snapshot.volume_id).where(Snapshot.deleted_at.is_(None), wanted(Volume.backend_id))
    return sa.union_all(*parts, snapshots.group_by(Volume.backend_id))


# Built once, for every claim. `updated_at` is for what people change; a claim is none of it.
_IDS: Any = sa.bindparam("ids", expanding=True)
_USED = _uses(lambda column: column.in_(_IDS))
_USED_OF_ALL = _uses(lambda column: column.is_not(None))
_OF_BACKEND = _BACKENDS.c.id == sa.bindparam("backend")
_HOLD = sa.select(*_COLUMNS).where(_OF_BACKEND).with_for_update()
_MOVE = sa.update(_BACKENDS).where(_OF_BACKEND, _BACKENDS.c.generation == sa.bindparam("seen")).values(
    generation=sa.bindparam("next"), updated_at=_BACKENDS.c.updated_at)
_TOUCH = sa.update(_BACKENDS).where(_OF_BACKEND).values(
    generation=_BACKENDS.c.generation + 1, updated_at=_BACKENDS.c.updated_at)


def limit_gib(backend: Any) -> float:
    """Return how much may be given out of a back end (a `Backend`, or a row with its columns) in all.

    Thin back ends give out `over_subscription` times what they have.
    """
    usable = backend.total_gib * (1 - backend.reserved_percent / 100)
    return float(usable * (backend.over_subscription if _is_thin(backend) else 1.0))


def room_gib(backend: Any, used_gib: int) -> float:
    """Return how much one more claim may take: of what is not given out, and of what the agent says is free."""
    free = max(0.0, backend.free_gib - backend.total_gib * backend.reserved_percent / 100)
    return float(min(limit_gib(backend) - used_gib, free * (backend.over_subscription if _is_thin(backend) else 1.0)))


def _is_thin(backend: Any) -> bool:
    return bool((backend.capabilities or {}).get("thin_provisioning"))


def used_gib(session: orm.Session, backend_ids: Sequence[str] | None = None) -> dict[str, int]:
    """Return what is claimed of each back end; those of which nothing is may be missing. None asks for all."""
    rows = session.execute(_USED_OF_ALL) if backend_ids is None else session.execute(_USED, {"ids": list(backend_ids)})
    found: dict[str, int] = {}
    for backend_id, gib in rows:
        found[backend_id] = found.get(backend_id, 0) + int(gib)  # MariaDB gives sums as decimals
    return found


def claim(session: orm.Session, backend_id: str, *, gib: int, expected_generation: int | None = None) -> int | None:
    """Hold `gib` of a back end for this transaction, which must make it count; None when it does not fit.

    Returns the back end's new generation. `expected_generation` is the one as of which the caller knows that it fits;
    None always sums afresh.
    """
    if expected_generation is not None and _move(session, backend_id, expected_generation):
        return expected_generation + 1
    backend = session.execute(_HOLD, {"backend": backend_id}).one_or_none()
    if backend is None or gib > room_gib(backend, used_gib(session, [backend_id]).get(backend_id, 0)):
        return None
    return backend.generation + 1 if _move(session, backend_id, backend.generation) else None


def _move(session: orm.Session, backend_id: str, generation: int) -> bool:
    result = session.execute(_MOVE, {"backend": backend_id, "seen": generation, "next": generation + 1})
    return bool(result.rowcount)  # type: ignore[attr-defined]


def touch(session: orm.Session, backend_ids: Iterable[str | None]) -> None:
    """Signal that less is claimed of these back ends than before; None is skipped."""
    for backend_id in sorted({backend_id for backend_id in backend_ids if backend_id is not None}):
        session.execute(_TOUCH, {"backend": backend_id})


def are_apart(one: Any, other: Any) -> bool:
    """Return whether two back ends are surely not the same storage under two names.

    Two nodes may offer one directory or pool. Drivers that share say which it is in the capability `storage_id`;
    without it, only different drivers are surely apart.
    """
    if one.id == other.id:
        return False
    mine, theirs = ((backend.capabilities or {}).get("storage_id") for backend in (one, other))
    if mine and theirs and one.driver == other.driver:
        return bool(mine != theirs)
    return bool(one.driver != other.driver)
