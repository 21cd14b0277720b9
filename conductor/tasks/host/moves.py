"""Tasks that have the source of a move set a server aside, and the target take it in."""

from __future__ import annotations

import logging
from typing import Any

from sqlalchemy import orm

from conductor.run import Run
from conductor.tasks.base import OperationTask
from conductor.tasks.host.servers import destroy, host_of, load_spec
from conductor.tasks.records.migrations import migration_of
from hostler import errors
from hostler.db.models import Migration
from hostler.operations import notes
from hostler.resources import revisions
from hostler.resources.server import migrations, states

LOG = logging.getLogger(__name__)


class SetServerAside(OperationTask):
    """Have the source switch the server off and offer its files to the target. Revert: it puts them back, and starts
    the server where it ran before."""

    default_provides = "offer"

    def execute(self, choice: dict[str, Any]) -> dict[str, Any]:
        """Return the offer: what `compute.rpcapi.ComputeAPI.set_server_aside` answers."""
        run, migration = self.run, migration_of(self.run)

        def work(session: orm.Session) -> None:
            revisions.guest_changes(session, run.resource_id)
            migrations.move(session, migration.id, migrations.MIGRATING)

        run.write(work)
        spec, _ = load_spec(run)
        return run.ask_host(str(migration.source_host), run.cloud.compute.set_server_aside, spec, choice["host"],
                            run.conf.compute.shutdown_timeout)

    def revert(self, **_: Any) -> None:
        """Restore; when that fails, note it: the server ends in error."""
        try:
            restore(self.run, migration_of(self.run))
        except errors.HostlerError as error:
            LOG.error("server %s could not be put back on its host: %s", self.run.resource_id, error)
            self.run.write(lambda session: notes.write(session, self.run.held.id, notes.NOT_RESTORED))


class TakeServerIn(OperationTask):
    """Have the target fetch the server's files, fit them and start the server. Revert: it removes all of it."""

    default_provides = "guest"

    def execute(self, choice: dict[str, Any], offer: dict[str, Any]) -> dict[str, Any]:
        """Return {"power_state"}."""
        run = self.run
        spec, groups = load_spec(run)
        return run.ask_host(choice["host"], run.cloud.compute.take_server_in, spec, offer, was_running(run), groups)

    def revert(self, choice: dict[str, Any], **_: Any) -> None:
        """Remove it; a host that stays silent removes it when it returns."""
        try:
            destroy(self.run, choice["host"])
        except errors.HostUnreachable:
            LOG.warning("server %s may be left on silent host %s until that reconciles", self.run.resource_id,
                        choice["host"])


class RemoveFromTarget(OperationTask):
    """Have the target remove the server that goes back. Revert: nothing to undo, its files are still at the source."""

    def execute(self) -> None:
        """Remove it; a host that stays silent fails the way back: the guest may still run there."""
        host = host_of(self.run)
        if host is not None:
            destroy(self.run, host)


class RestoreServer(OperationTask):
    """Have the source put back what it set aside, and start it where it ran before. Revert: nothing to undo."""

    default_provides = "guest"

    def execute(self) -> dict[str, Any]:
        """Return {"power_state"}."""
        return restore(self.run, migration_of(self.run))


class BringBack(OperationTask):
    """Have the host put back what it set aside of a server that then failed to return. Revert: nothing to undo."""

    def execute(self) -> None:
        """Put it back, unless the server has files there: those are newer, as after a rebuild."""
        run = self.run
        with run.reading() as session:
            migration = migrations.failed_return(session, run.resource_id)
        if migration is not None and run.resource_id not in run.ask_host(
                str(migration.source_host), run.cloud.compute.get_inventory)["servers"]:
            restore(run, migration)


class DiscardServer(OperationTask):
    """Have the source remove what it set aside. Revert: nothing to undo, the server runs elsewhere."""

    def execute(self) -> None:
        """Remove it; a host that stays silent is told when it returns."""
        discard(self.run, migration_of(self.run))


def discard(run: Run, migration: Migration) -> None:
    """Have a migration's source remove what it set aside."""
    try:
        run.ask_host(str(migration.source_host), run.cloud.compute.discard_server, run.resource_id)
    except errors.HostUnreachable:
        LOG.warning("what was set aside of server %s is left on silent host %s until that reconciles",
                    run.resource_id, migration.source_host)


def restore(run: Run, migration: Migration) -> dict[str, Any]:
    """Have a migration's source put the server back."""
    spec, groups = load_spec(run)
    return run.ask_host(str(migration.source_host), run.cloud.compute.restore_server, spec,
                        migration.old_vm_state == states.ACTIVE, groups)


def was_running(run: Run) -> bool:
    """Return whether the server ran when its migration began."""
    return migration_of(run).old_vm_state == states.ACTIVE
