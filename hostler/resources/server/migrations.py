"""Migrations: the record of a server's way to another host or flavor, and the claims it holds on the way.

A migration is opened in the transaction that accepts its operation and changes along `TRANSITIONS`, in Nova's words.
While a server moves it holds two hosts (or one host twice). The naive way writes a second claim of the same consumer,
which no longer says which of the two is the place to go back to. Here the migration becomes the consumer of the
source's claim (`set_claim_aside`), so that the server claims its target as any new server does: the scheduler needs no
special case, a claim on the same host is just another row, and confirming is releasing the migration's claim, reverting
is releasing the server's (`take_claim_back`).
"""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import orm

from hostler.context import RequestContext
from hostler.db.models import Allocation, Host, Migration, Server
from hostler.db.moments import now
from hostler.resources.server import allocations, states
from hostler.resources.transitions import Transitions

RESIZE: Final = "resize"
MIGRATION: Final = "migration"  # cold
LIVE_MIGRATION: Final = "live-migration"
EVACUATION: Final = "evacuation"

ACCEPTED: Final = "accepted"
QUEUED: Final = "queued"  # live: waits for its turn
PREPARING: Final = "preparing"  # live: the target is prepared
RUNNING: Final = "running"  # live: memory and disks travel
PRE_MIGRATING: Final = "pre-migrating"
MIGRATING: Final = "migrating"
POST_MIGRATING: Final = "post-migrating"
FINISHED: Final = "finished"  # waits to be confirmed or reverted
CONFIRMING: Final = "confirming"
REVERTING: Final = "reverting"
CONFIRMED: Final = "confirmed"
REVERTED: Final = "reverted"
COMPLETED: Final = "completed"  # live
DONE: Final = "done"  # evacuation
CANCELLED: Final = "cancelled"
FAILED: Final = "failed"  # live, evacuation
ERROR: Final = "error"

ENDED: Final = frozenset({CONFIRMED, REVERTED, COMPLETED, DONE, CANCELLED, FAILED, ERROR})
# A live migration in one of these is shown below its server, and can be aborted or forced to complete.
LIVE_IN_PROGRESS: Final = (QUEUED, PREPARING, RUNNING, POST_MIGRATING)
STATUSES: Final = (ACCEPTED, QUEUED, PREPARING, RUNNING, PRE_MIGRATING, MIGRATING, POST_MIGRATING, FINISHED,
                   CONFIRMING, REVERTING, *sorted(ENDED))

# Each that has not ended may also become CANCELLED, FAILED or ERROR: see `may_become`.
TRANSITIONS: Final = frozenset({
    (ACCEPTED, QUEUED),
    (ACCEPTED, PREPARING),
    (ACCEPTED, PRE_MIGRATING),
    (QUEUED, PREPARING),
    (PREPARING, RUNNING),
    (RUNNING, POST_MIGRATING),
    (RUNNING, COMPLETED),
    (PRE_MIGRATING, MIGRATING),
    (PRE_MIGRATING, DONE),  # an evacuated server runs again
    (MIGRATING, POST_MIGRATING),
    (POST_MIGRATING, FINISHED),
    (POST_MIGRATING, COMPLETED),
    (FINISHED, CONFIRMING),
    (FINISHED, REVERTING),
    (CONFIRMING, FINISHED),  # its operation failed, and may be asked for again
    (CONFIRMING, CONFIRMED),
    (REVERTING, FINISHED),
    (REVERTING, REVERTED),
    (FINISHED, CONFIRMED),  # the server was deleted
})
IS_OPEN: Final = Migration.ended_at.is_(None)
_OPEN_OF: Final = sa.select(Migration).where(Migration.server_id == sa.bindparam("server"), IS_OPEN)
_NEWEST_OPEN_OF: Final = _OPEN_OF.order_by(Migration.number.desc()).limit(1)


def _of_target(column: Any) -> Any:
    return sa.select(column).where(Host.id == sa.bindparam("host")).scalar_subquery()


_SET_TARGET: Final = sa.update(Migration).where(Migration.id == sa.bindparam("migration")).values(
    dest_host_id=sa.bindparam("host"), dest_host=_of_target(Host.name),
    dest_node=_of_target(Host.hypervisor_hostname), dest_ip=_of_target(sa.func.nullif(Host.host_ip, "")))


def may_become(old: str, new: str) -> bool:
    """Return whether a migration may go from `old` to `new`; staying is always allowed, an end is final."""
    if old == new:
        return True
    return old not in ENDED and (new in (CANCELLED, FAILED, ERROR) or (old, new) in TRANSITIONS)


_MIGRATION: Final = Transitions("migration", Migration, Migration.status, STATUSES, may_become)


def flavor_of(server: Any) -> dict[str, Any]:
    """Return the columns of a server (or of a row with them) that are its flavor's, as a migration keeps them."""
    return {"flavor_id": server.flavor_id, "flavor": server.flavor, "vcpus": server.vcpus, "ram_mib": server.ram_mib,
            "root_gib": server.root_gib, "ephemeral_gib": server.ephemeral_gib, "swap_mib": server.swap_mib}


def begin(session: orm.Session, context: RequestContext, server: Server, operation_id: str, kind: str, *,
          status: str, new_flavor: dict[str, Any] | None = None) -> Migration:
    """Open a migration of `server` from its host; `kind` is RESIZE, …, `new_flavor` as `flavor_of` writes it."""
    old = flavor_of(server)
    new = new_flavor or old
    source = session.get(Host, server.host_id) if server.host_id else None
    row = Migration(
        server_id=server.id, operation_id=operation_id, project_id=server.project_id, user_id=context.user_id,
        type=kind, status=status, old_vm_state=server.vm_state, source_host_id=server.host_id,
        source_host=source and source.name, source_node=source and source.hypervisor_hostname, old_flavor=old,
        new_flavor=new, vcpus=max(old["vcpus"], new["vcpus"]), ram_mib=max(old["ram_mib"], new["ram_mib"]))
    session.add(row)
    return row


def of_operation(session: orm.Session, operation_id: str) -> Migration | None:
    """Return the migration that an operation opened."""
    return session.scalars(sa.select(Migration).where(Migration.operation_id == operation_id)).one_or_none()


def open_of(session: orm.Session, server_id: str) -> Migration | None:
    """Return a server's migration that has not ended."""
    return session.scalars(_NEWEST_OPEN_OF, {"server": server_id}).one_or_none()


def failed_return(session: orm.Session, server_id: str) -> Migration | None:
    """Return the last migration of a server that is in error since it could not go back to its host, where what was
    set aside of it lies still."""
    last = session.scalars(sa.select(Migration).where(Migration.server_id == server_id)
                           .order_by(Migration.number.desc()).limit(1)).one_or_none()
    server = session.get_one(Server, server_id)
    stranded = (last is not None and last.status == ERROR and last.type in (RESIZE, MIGRATION)
                and server.vm_state == states.ERROR and server.host_id == last.source_host_id)
    return last if stranded else None


def move(session: orm.Session, migration_id: str, status: str, **values: Any) -> bool:
    """Change a migration's status, and `values` with it; returns False where the table forbids it."""
    if status in ENDED:
        values["ended_at"] = now()
    return _MIGRATION.move(session, migration_id, status, values)


def set_target(session: orm.Session, migration_id: str, host_id: str | None) -> None:
    """Write where a migration goes; None takes it out again."""
    session.execute(_SET_TARGET, {"migration": migration_id, "host": host_id},
                    execution_options={"synchronize_session": False})


def report_progress(session: orm.Session, migration_id: str, **progress: int | None) -> None:
    """Write the progress (`memory_total_bytes`, …, `disk_remaining_bytes`)."""
    session.execute(sa.update(Migration).where(Migration.id == migration_id).values(**progress))


def set_claim_aside(session: orm.Session, migration: Migration) -> None:
    """Make the migration the consumer of what its server holds of the source host; may be repeated."""
    if session.scalar(sa.select(Allocation.host_id).where(Allocation.consumer_id == migration.id).limit(1)) is None:
        _hand_over(session, migration.server_id, migration.id)


def take_claim_back(session: orm.Session, migration: Migration) -> None:
    """Release what the server holds of its target, and give it back what was set aside; may be repeated."""
    if session.scalar(sa.select(Allocation.host_id).where(Allocation.consumer_id == migration.id).limit(1)) is None:
        return
    allocations.release(session, migration.server_id)
    _hand_over(session, migration.id, migration.server_id)


def keep_one_claim(session: orm.Session, migration: Migration) -> None:
    """End a move in between: the server keeps its claim on the host that its record names, and no other."""
    host_id = session.scalar(sa.select(Server.host_id).where(Server.id == migration.server_id))
    if host_id == migration.source_host_id:
        take_claim_back(session, migration)
    else:
        release_claim(session, migration.id)


def release_claim(session: orm.Session, migration_id: str) -> None:
    """Release what was set aside: the server stays at its target."""
    allocations.release(session, migration_id)


def end_open(session: orm.Session, server_id: str, status: str = ERROR) -> None:
    """End what a server left open, and release what was set aside: it stays where it is, or is gone."""
    for row in session.scalars(_OPEN_OF, {"server": server_id}).all():
        release_claim(session, row.id)
        move(session, row.id, status if may_become(row.status, status) else CANCELLED)


def _hand_over(session: orm.Session, old: str, new: str) -> None:
    # What the host has in use does not change, so that no scheduler needs to look at it again.
    session.execute(sa.update(Allocation).where(Allocation.consumer_id == old).values(consumer_id=new)
                    .execution_options(synchronize_session=False))
