"""What the records say of a live migration: its row, whether its guest has landed, and what was wished on its way."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import orm

from conductor.run import Run
from conductor.tasks.records.migrations import migration_id, migration_in, switch
from hostler.db.models import Operation, Server, VolumeAttachment
from hostler.operations import notes
from hostler.operations.kinds import server as kinds
from hostler.resources.server import migrations

ABORT: Final = "abort"
FORCE: Final = "force_complete"


@dataclasses.dataclass(frozen=True)
class Wish:
    """What somebody asked of a migration under way."""

    abort: bool
    force: bool
    by_deletion: bool


def has_landed(session: orm.Session, run: Run) -> bool:
    """Return whether the records say that the server is at its target."""
    return session.get_one(Server, run.resource_id).host_id != migration_in(session, run).source_host_id


def report(session: orm.Session, run: Run, progress: dict[str, Any] | None) -> Wish:
    """Write how far the migration is, and return what is wished of it."""
    if progress is not None:
        migrations.report_progress(session, migration_id(session, run), **progress)
    cancelled = session.scalar(sa.select(Operation.cancel_requested).where(Operation.id == run.held.id))
    wish = notes.value(session, run.held.id, notes.WISH)
    return Wish(abort=wish == kinds.ABORT_MIGRATION.name, force=wish == kinds.FORCE_MIGRATION.name,
                by_deletion=bool(cancelled))


def enter(session: orm.Session, run: Run, status: str) -> None:
    """Write the migration's status."""
    migrations.move(session, migration_id(session, run), status)


def land(session: orm.Session, run: Run, connections: Mapping[str, dict[str, Any]] | None) -> None:
    """Write that the server is at its target, which has these connections to its volumes."""
    migration = migration_in(session, run)
    switch(session, run, migration, migration.dest_host_id, migration.new_flavor, "ACTIVE")
    for attachment_id, made in (connections or {}).items():
        session.execute(sa.update(VolumeAttachment).where(VolumeAttachment.id == attachment_id).values(
            connection_id=made["id"], connection=made["connection"], connector=made["connector"]))
