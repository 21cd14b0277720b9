"""Accepting the evacuation of a server, asked for by an administrator or by the policy of the server itself."""

from __future__ import annotations

from sqlalchemy import orm

from hostler import errors
from hostler.context import RequestContext
from hostler.db.models import Lock, Server
from hostler.operations.accept import Accepted, Target, accept_behind, unfinished
from hostler.operations.kinds import server as kinds
from hostler.operations.kinds.registry import KINDS
from hostler.resources.server import migrations


def check_free(session: orm.Session, server: Server) -> None:
    """Raise ResourceLocked while the server is evacuated already, or held by what cannot be stopped."""
    lock = session.get(Lock, server.id)
    held = KINDS.get(lock.kind) if lock is not None else None
    other = unfinished(session, kinds.EVACUATE, server.id)
    if other is None and (held is None or held.cancellable):
        return
    kind = kinds.EVACUATE.name if lock is None or other is not None else lock.kind
    raise errors.ResourceLocked(
        f"Cannot 'evacuate' instance {server.id} while it is in task_state {KINDS[kind].shows.get('server', kind)}",
        resource="server", id=server.id, operation=other or (lock.operation_id if lock is not None else ""), kind=kind,
        locked=[{"id": server.id, "type": "server"}])


def accept(session: orm.Session, context: RequestContext, server: Server, arguments: kinds.Evacuate) -> Accepted:
    """Accept it, in the transaction that holds the server's row and has checked that it may start.

    What another operation does with the server on its dead host is asked to stop.
    """
    # Its first steps ask no host, so none is named: the silent one must not hold them up.
    operation = accept_behind(session, context, kinds.EVACUATE, Target("server", server.id), arguments,
                              project_id=server.project_id)
    migrations.begin(session, context, server, operation.id, migrations.EVACUATION, status=migrations.ACCEPTED)
    return operation
