"""Live migration of a server, and what may be asked of one under way.

What is asked is noted with the operation and read by the conductor that watches the guest: it reaches the host within
about a second, also when another conductor has taken over.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import orm

from api.core.outcomes import in_turn
from api.core.server.migrations import find_live
from api.core.server.servers import check_idle, to_change
from api.services import Services
from hostler import errors
from hostler.context import RequestContext
from hostler.db.models import Host, Server
from hostler.operations import journal, notes
from hostler.operations.accept import Target, accept
from hostler.operations.kinds import server as kinds
from hostler.operations.kinds.kind import Immediate
from hostler.resources.server import migrations
from hostler.resources.server.status import check_may_start

_POLICY = "os_compute_api:"
_SAID_AS = "os-migrateLive"


def migrate(services: Services, context: RequestContext, server_id: str, wanted: kinds.LiveMigrate) -> None:
    """Accept the migration; raises NotFound, Forbidden, Invalid for a host that cannot be meant, InvalidState."""

    def work(session: orm.Session) -> str:
        server = to_change(services, session, context, server_id, _POLICY + "os-migrate-server:migrate_live")
        check_idle(session, server, _SAID_AS)
        check_may_start(kinds.LIVE_MIGRATE, server.id, server.vm_state, said_as=_SAID_AS)
        if server.host_id is None:
            raise errors.Conflict(reason=f"Instance {server.id} is not ready: it is on no host.")
        _check_target(session, server, wanted.host)
        operation = accept(session, context, kinds.LIVE_MIGRATE, Target("server", server.id), wanted,
                           project_id=server.project_id, host_id=server.host_id)
        migrations.begin(session, context, server, operation.id, migrations.LIVE_MIGRATION,
                         status=migrations.ACCEPTED)
        return operation.id

    services.waker.wake(context, in_turn(services, work))


def abort(services: Services, context: RequestContext, server_id: str, number: int, *, queued: bool) -> None:
    """Ask for the end of a migration under way; one that has not begun to send may only be aborted when `queued`.

    Raises NotFound, Forbidden, InvalidState.
    """
    states = migrations.LIVE_IN_PROGRESS[:-1] if queued else (migrations.RUNNING,)
    _wish(services, context, server_id, number, "abort live migration", _POLICY + "servers:migrations:delete", states,
          kinds.ABORT_MIGRATION)


def force_complete(services: Services, context: RequestContext, server_id: str, number: int) -> None:
    """Ask for the quick end of a migration whose guest is on its way; raises NotFound, Forbidden, InvalidState."""
    _wish(services, context, server_id, number, "force complete", _POLICY + "servers:migrations:force_complete",
          (migrations.RUNNING,), kinds.FORCE_MIGRATION)


def _check_target(session: orm.Session, server: Server, name: str | None) -> None:
    if name is None:
        return
    host_id = session.scalar(sa.select(Host.id).where(Host.name == name))
    if host_id is None:
        raise errors.Invalid(reason=f"Compute host {name} could not be found.")
    if host_id == server.host_id:
        raise errors.Invalid(reason=f"Unable to migrate instance ({server.id}) to current host ({name}).")


def _wish(services: Services, context: RequestContext, server_id: str, number: int, said_as: str, policy: str,
          states: tuple[str, ...], journalled: Immediate) -> None:
    def work(session: orm.Session) -> None:
        server = to_change(services, session, context, server_id, policy)
        migration = find_live(session, server.id, number)
        if migration.status not in states:
            raise errors.Invalid(reason=f"Migration {number} state of instance {server.id} is {migration.status}. "
                                        f"Cannot {said_as} while the migration is in this state.")
        notes.write(session, migration.operation_id, notes.WISH, value=journalled.name)
        journal.note(session, context, journalled, server)

    services.db.write(work)


