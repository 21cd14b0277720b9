"""What the records say of a live migration: its row, whether its guest has landed, and what was wished on its way."""

from __future__ import annotations

import dataclasses
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import orm

from conductor.run import Run
from hostler import errors
from hostler.db.models import Host, Migration, Operation, Server, VolumeAttachment
from hostler.operations import notes
from hostler.operations.kinds import server as kinds
from hostler.resources.network import ports
from hostler.resources.server import migrations

ABORT: Final = "abort"
FORCE: Final = "force_complete"


@dataclasses.dataclass(frozen=True)
class Wish:
    """What somebody asked of a migration under way."""

    abort: bool
    force: bool
    by_deletion: bool


def migration_of(session: orm.Session, run: Run) -> Migration:
    """Return the migration that the run's operation opened."""
    found = migrations.of_operation(session, run.held.id)
    if found is None:
        raise errors.Internal(f"Operation {run.held.id} has no migration.")
    return found


def has_landed(session: orm.Session, run: Run) -> bool:
    """Return whether the records say that the server is at its target."""
    host_id = session.scalar(sa.select(Server.host_id).where(Server.id == run.resource_id))
    return host_id is not None and host_id == migration_of(session, run).dest_host_id


def report(session: orm.Session, run: Run, progress: dict[str, Any] | None) -> Wish:
    """Write how far the migration is, and return what is wished of it."""
    if progress is not None:
        migrations.report_progress(session, migration_of(session, run).id, **progress)
    cancelled = session.scalar(sa.select(Operation.cancel_requested).where(Operation.id == run.held.id))
    wish = notes.value(session, run.held.id, notes.WISH)
    return Wish(abort=wish == kinds.ABORT_MIGRATION.name, force=wish == kinds.FORCE_MIGRATION.name,
                by_deletion=bool(cancelled))


def enter(run: Run, status: str) -> None:
    """Write the migration's status."""
    run.write(lambda session: migrations.move(session, migration_of(session, run).id, status))


def switch_host(session: orm.Session, run: Run, host_id: str) -> None:
    """Write that the server is at its target."""
    # Another host numbers its reports by another clock.
    session.execute(sa.update(Server).where(Server.id == run.resource_id).values(host_id=host_id, event_number=0))
    ports.set_ports_host(session, run.resource_id, host_id, "ACTIVE")
    host = session.get_one(Host, host_id)
    session.execute(sa.update(VolumeAttachment).where(VolumeAttachment.server_id == run.resource_id).values(
        connector={**host.connector, "host": host.name}))
