"""Tasks that write where a moving server is, and with which flavor."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import orm

from conductor.run import Run
from conductor.tasks.base import OperationTask
from hostler import errors
from hostler.db.models import Migration, Server
from hostler.resources.network import ports
from hostler.resources.server import migrations

_MIGRATION: Final = "migration"  # its id, in a run's memory


class SwitchToTarget(OperationTask):
    """Write target and new flavor into the server's record, and its ports. Revert: write source and old flavor."""

    weight = 0

    def execute(self, choice: dict[str, Any]) -> None:
        """Switch."""
        migration = migration_of(self.run)
        self.run.write(lambda session: switch(
            session, self.run, migration, choice["host_id"], migration.new_flavor))

    def revert(self, **_: Any) -> None:
        """Switch back."""
        migration = migration_of(self.run)
        self.run.write(lambda session: switch(
            session, self.run, migration, migration.source_host_id, migration.old_flavor))


class SwitchToSource(OperationTask):
    """Write source and old flavor into the record of a server that goes back. Revert: nothing to undo, it has left its
    target."""

    weight = 0

    def execute(self) -> None:
        """Switch back."""
        migration = migration_of(self.run)
        self.run.write(lambda session: switch(
            session, self.run, migration, migration.source_host_id, migration.old_flavor))


def migration_of(run: Run) -> Migration:
    """Return the migration that the run's operation began, else the open one of its server, which it ends."""
    with run.reading() as session:
        return migration_in(session, run)


def migration_in(session: orm.Session, run: Run) -> Migration:
    """As `migration_of`, in a transaction."""
    found = migrations.of_operation(session, run.held.id) or migrations.open_of(session, run.resource_id)
    if found is None:
        raise errors.Internal(f"Server {run.resource_id} has no open migration.")
    run.memory[_MIGRATION] = found.id
    return found


def migration_id(session: orm.Session, run: Run) -> str:
    """Return the id of the run's migration."""
    return str(run.memory.get(_MIGRATION) or migration_in(session, run).id)


def switch(session: orm.Session, run: Run, migration: Migration, host_id: str | None, flavor: dict[str, Any],
           port_status: str = "BUILD") -> None:
    """Write a moving server's host and flavor, and its ports; the hosts of its networks follow."""
    # Another host numbers its reports by another clock.
    session.execute(sa.update(Server).where(Server.id == migration.server_id).values(
        host_id=host_id, event_number=0, **flavor))
    run.follow(ports.set_ports_host(session, migration.server_id, host_id, port_status, run.context, arrived=False))
