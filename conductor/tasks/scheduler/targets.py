"""The task that finds a moving server its target."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from conductor.run import Run
from conductor.tasks.base import OperationTask, failed
from conductor.tasks.records.migrations import migration_of
from conductor.tasks.scheduler.hosts import local_disk_gib
from hostler import errors
from hostler.db.models import Host, Migration, Server
from hostler.resources.server import migrations
from scheduler.rpcapi import Request


class SelectTarget(OperationTask):
    """Set the claim on the source aside and have the scheduler claim a target. Revert: release the target, take the
    claim on the source back."""

    default_provides = "choice"

    def execute(self, host: str | None = None) -> dict[str, Any]:
        """Return {"host_id", "host", "zone"}; `host` is the only one allowed."""
        run, migration = self.run, migration_of(self.run)
        run.write(lambda session: migrations.set_claim_aside(session, migration))
        with run.reading() as session:
            request = _request(session, run, migration, host)
        choice = run.ask_scheduler(request)
        run.write(lambda session: migrations.set_target(session, migration.id, choice.host_id))
        with run.reading() as session:
            _check_disks_can_travel(session, migration, choice.host_id)
        return choice.to_wire()

    def revert(self, result: Any, **_: Any) -> None:
        """Give back."""
        migration = migration_of(self.run)

        def work(session: orm.Session) -> None:
            migrations.take_claim_back(session, migration)
            if not failed(result):
                migrations.set_target(session, migration.id, None)

        self.run.write(work)


def _request(session: orm.Session, run: Run, migration: Migration, host: str | None) -> Request:
    server = session.get_one(Server, migration.server_id)
    flavor = migration.new_flavor
    stays = migration.type == migrations.RESIZE and run.conf.compute.allow_resize_to_same_host
    excluded = () if stays or migration.source_host_id is None else (migration.source_host_id,)
    return Request(
        consumer_id=server.id, project_id=server.project_id, vcpus=flavor["vcpus"], ram_mib=flavor["ram_mib"],
        disk_gib=local_disk_gib(session, server.id, flavor), zone=server.requested_zone, host=host,
        extra_specs=flavor["flavor"].get("extra_specs", {}), image_properties=server.image_properties,
        hints=server.scheduler_hints, excluded_hosts=excluded)


def _check_disks_can_travel(session: orm.Session, migration: Migration, target_id: str) -> None:
    """Raise AgentError, before the guest is switched off, when disks cannot be sent from one host to the other."""
    if target_id == migration.source_host_id:
        return
    for name, connector in session.execute(sa.select(Host.name, Host.connector).where(
            Host.id.in_([migration.source_host_id, target_id])).order_by(Host.name)):
        if not (connector or {}).get("sends_disks"):
            raise errors.AgentError(
                reason=f"Host {name} neither sends nor takes disks of servers: its operator must give it certificates "
                       "(hostler-manage pki issue) and set [compute] tls_dir.")
