"""The task that finds a server another host: it is resized, migrated (cold or live), or evacuated."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import orm

from conductor.run import Run
from conductor.tasks.base import OperationTask, failed
from conductor.tasks.records.migrations import migration_in
from conductor.tasks.scheduler.hosts import choose, request_for
from hostler import errors
from hostler.db.models import Host, Migration
from hostler.operations import notes
from hostler.resources.server import migrations
from scheduler.rpcapi import Choice, Request

_COLD: Final = (migrations.RESIZE, migrations.MIGRATION)


class ClaimTarget(OperationTask):
    """Have the scheduler choose and claim the target; what the server holds of its source becomes the migration's.

    Revert: release the target, which is not tried again, and give the source back; when the guest has landed
    nevertheless, release the source.
    """

    default_provides = "choice"
    weight = 0

    def execute(self, host: str | None = None, force: bool = False) -> dict[str, Any]:
        """Return {"host_id", "host", "zone", "source_id", "source"}.

        `host` is the only one allowed; `force` keeps to it against zone and hints.
        """
        run = self.run

        def begin(session: orm.Session) -> Migration:
            migration = migration_in(session, run)
            if migration.source_host_id is None:
                raise errors.Conflict(reason=f"Instance {run.resource_id} is on no host.")
            migrations.set_claim_aside(session, migration)
            if migration.status == migrations.ACCEPTED:
                migrations.move(session, migration.id, migrations.QUEUED)
            self.begin(session)
            return migration

        migration = run.write(begin)
        with run.reading() as session:
            request = _request(session, run, migration, host, force=force)
        choice = self.choose(migration, request)
        run.write(lambda session: self.settle(session, migration, choice))
        if migration.type in _COLD:
            with run.reading() as session:
                _check_disks_can_travel(session, migration, choice.host_id)
        return {**choice.to_wire(), "source_id": migration.source_host_id, "source": migration.source_host}

    def begin(self, session: orm.Session) -> None:
        """Write more in the transaction before a host is chosen."""

    def choose(self, _migration: Migration, request: Request) -> Choice:
        """Return the host that the scheduler chose and claimed."""
        return choose(self.run, request)

    def settle(self, session: orm.Session, migration: Migration, choice: Choice) -> None:
        """Write where the migration goes."""
        migrations.set_target(session, migration.id, choice.host_id)

    def revert(self, result: Any, **_: Any) -> None:
        """Give back."""
        def work(session: orm.Session) -> None:
            migrations.keep_one_claim(session, migration_in(session, self.run))
            if not failed(result) and result:
                notes.write(session, self.run.held.id, notes.EXCLUDED, key=result["host"])

        self.run.write(work)


def _request(session: orm.Session, run: Run, migration: Migration, host: str | None, *, force: bool) -> Request:
    stays = migration.type == migrations.RESIZE and run.conf.compute.allow_resize_to_same_host
    excluded = () if stays or migration.source_host_id is None else (migration.source_host_id,)
    free: dict[str, Any] = {"zone": None, "hints": {}} if force else {}
    return request_for(session, run, migration.new_flavor, host=host, excluded=excluded, **free)


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
