"""The task that empties a host, by operations of its servers' own."""

from __future__ import annotations

import functools
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from conductor.run import HandOver
from conductor.tasks.base import OperationTask
from hostler import errors
from hostler.db.models import Lock, Operation, OperationNote, Server
from hostler.operations import notes
from hostler.operations import states as operation_states
from hostler.operations.accept import Target, accept
from hostler.operations.kinds import server as kinds
from hostler.operations.kinds.arguments import Arguments
from hostler.resources.server import migrations, states

AT_ONCE = 2
_LOOK_AGAIN_S = 1.0


class MoveServersAway(OperationTask):
    """Have the host's servers moved, a few at a time: those that run live, those that are off cold, and confirmed.

    Revert: nothing to undo. The operation that moves a server is noted in the transaction that accepts it, so that
    a conductor that goes on after a crash moves none twice; a migration that failed leaves its server, with the reason.
    """

    default_provides = "stays"

    def execute(self) -> dict[str, str]:
        """Return {server id: why it stays}."""
        with self.run.reading() as session:
            here = list(session.scalars(sa.select(Server.id).where(
                Server.host_id == self.run.resource_id, Server.deleted_at.is_(None)).order_by(Server.id)))
            moved = dict(session.execute(sa.select(OperationNote.key, OperationNote.value).where(
                OperationNote.operation_id == self.run.held.id, OperationNote.name == notes.MOVED)).tuples().all())
        stays: dict[str, str] = {}
        busy: list[str] = []
        for server_id in sorted({*here, *moved}):
            try:
                why = self.run.write(functools.partial(self._look, server_id=server_id, known=moved.get(server_id),
                                                       may_start=len(busy) < AT_ONCE))
            except errors.ResourceLocked:
                why = None
            if why is None:
                busy.append(server_id)
            elif why:
                stays[server_id] = why
        if busy:
            raise HandOver(reason=f"{len(busy)} servers are being moved", delay_s=_LOOK_AGAIN_S,
                           waiting_for=f"{len(busy)} servers, {len(stays)} stay")
        return stays

    def _look(self, session: orm.Session, *, server_id: str, known: str | None, may_start: bool) -> str | None:
        """Take the next step with one server; returns why it stays, '' when it has left, None while it is not over."""
        self.run.lock_row(session, Server, Server.id == server_id)
        server = session.get_one(Server, server_id)
        if server.deleted_at is not None:
            return ""
        if session.get(Lock, server_id) is not None:
            return None
        if server.host_id != self.run.resource_id:
            return self._confirm(session, server, known)
        operation = session.get(Operation, known) if known is not None else None
        if operation is not None and operation.state == operation_states.FAILED:
            return operation.message or "its migration failed"
        kind, record, status = self._way_of(server)
        if kind is None:
            return f"a server that is {server.vm_state} cannot be moved"
        if may_start:
            self._accept(session, server, kind, record, status)
        return None

    @staticmethod
    def _way_of(server: Server) -> tuple[Any, str, str]:
        if server.vm_state in kinds.LIVE_MIGRATE.starts_in:
            return kinds.LIVE_MIGRATE, migrations.LIVE_MIGRATION, migrations.ACCEPTED
        if server.vm_state == states.STOPPED:
            return kinds.MIGRATE, migrations.MIGRATION, migrations.PRE_MIGRATING
        return None, "", ""

    def _accept(self, session: orm.Session, server: Server, kind: Any, record: str, status: str) -> None:
        operation = accept(session, self.run.context, kind, Target("server", server.id), kind.arguments(),
                           project_id=server.project_id, host_id=server.host_id)
        migrations.begin(session, self.run.context, server, operation.id, record, status=status)
        notes.write(session, self.run.held.id, notes.MOVED, key=server.id, value=operation.id)
        self.run.follow([operation.id])

    def _confirm(self, session: orm.Session, server: Server, known: str | None) -> str | None:
        """Confirm a cold migration of this drain's."""
        migration = migrations.open_of(session, server.id)
        if server.vm_state != states.RESIZED or migration is None or migration.operation_id != known:
            return ""
        migrations.move(session, migration.id, migrations.CONFIRMING)
        self.run.follow([accept(session, self.run.context, kinds.CONFIRM_RESIZE, Target("server", server.id),
                                Arguments(), project_id=server.project_id, host_id=migration.source_host_id).id])
        return None
