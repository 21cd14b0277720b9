"""The task that finds a running server another host."""

from __future__ import annotations

from typing import Any

from sqlalchemy import orm

from conductor.run import Run
from conductor.tasks.base import OperationTask
from conductor.tasks.records.live_migration import has_landed, migration_of
from conductor.tasks.scheduler.hosts import local_disk_gib
from hostler import errors
from hostler.db.models import Host, Server
from hostler.operations import notes
from hostler.resources.server import migrations
from scheduler.rpcapi import Request


class ClaimTarget(OperationTask):
    """Have the scheduler choose and claim the target; what is held of the source becomes the migration's.

    Revert: release the target, give the source back; of a guest that is at its target already, release the source.
    """

    default_provides = "choice"
    weight = 0

    def execute(self, host: str | None, force: bool) -> dict[str, Any]:
        """Return {"host_id", "host", "zone", "source_id", "source"}."""
        with self.run.reading() as session:
            source = _source(session, self.run)
            request = _request(session, self.run, source, host, force=force)

        def begin(session: orm.Session) -> None:
            migration = migration_of(session, self.run)
            migrations.set_claim_aside(session, migration)
            migrations.move(session, migration.id, migrations.QUEUED)

        self.run.write(begin)
        choice = self.run.ask_scheduler(request).to_wire()
        self.run.write(lambda session: migrations.set_target(session, migration_of(session, self.run).id,
                                                             choice["host_id"]))
        return {**choice, "source_id": source.id, "source": source.name}

    def revert(self, **_: Any) -> None:
        """Give back."""
        def work(session: orm.Session) -> None:
            migration = migration_of(session, self.run)
            if has_landed(session, self.run):
                migrations.release_claim(session, migration)
            else:
                migrations.take_claim_back(session, migration)

        self.run.write(work)


def _source(session: orm.Session, run: Run) -> Host:
    server = session.get(Server, run.resource_id)
    source = session.get(Host, server.host_id) if server is not None and server.host_id else None
    if source is None:
        raise errors.Conflict(reason=f"Instance {run.resource_id} is on no host.")
    return source


def _request(session: orm.Session, run: Run, source: Host, host: str | None, *, force: bool) -> Request:
    server = session.get_one(Server, run.resource_id)
    return Request(
        consumer_id=server.id, project_id=server.project_id, vcpus=server.vcpus, ram_mib=server.ram_mib,
        disk_gib=local_disk_gib(session, server.id, migrations.flavor_of(server)), host=host,
        zone=None if force else server.requested_zone, extra_specs=server.flavor.get("extra_specs", {}),
        image_properties=server.image_properties, hints={} if force else server.scheduler_hints,
        excluded_hosts=(source.id, *notes.keys(session, run.held.id, notes.EXCLUDED)))
