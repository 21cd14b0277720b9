"""Snapshots and backups as what they have in common: copies of a volume that are listed, shown, held, reset, deleted.

Each noun declares one `Copies`; its own verbs are beside it (`snapshots`, `backups`). Rows are plain, with the status
derived in SQL, so that lists filter and sort by it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import sqlalchemy as sa
from sqlalchemy import orm

from api.core.outcomes import in_turn
from api.core.volume import rows as volume_rows
from api.services import Services
from hostler import errors, ids
from hostler.context import RequestContext
from hostler.db.models import Backup, Snapshot
from hostler.operations.accept import Target, accept, accept_once_behind, check_unlocked
from hostler.operations.kinds.arguments import Arguments
from hostler.operations.kinds.kind import Kind
from hostler.query.paging import Page, Query, read_page
from hostler.query.resources import Resource
from hostler.resources.transitions import Transitions
from hostler.resources.volume import states

Row = TypeVar("Row", Snapshot, Backup)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Copies(Generic[Row]):
    """One noun: how its rows are read, the policies of its verbs, and what its deletion needs.

    `get`, `get_all` and `delete_action` name policies; those of administrators begin with `admin`. `check_heirs` raises
    while something builds on a copy, `agent_of` returns the agent that has it.
    """

    resource: Resource
    rows: sa.Select[Any]
    moves: Transitions
    deletion: Kind[Arguments]
    get: str
    get_all: str
    delete_action: str
    admin: str
    check_heirs: Callable[[orm.Session, Row], None]
    agent_of: Callable[[orm.Session, Row], str | None]

    def not_found(self, row_id: str) -> errors.NotFound:
        """Return the error for a copy that does not exist for the caller."""
        noun = self.moves.noun
        return errors.NotFound(f"{noun.capitalize()} {row_id[:80]} could not be found.", resource=noun, id=row_id)

    def show(self, services: Services, context: RequestContext, row_id: str, *, action: str | None = None) -> Any:
        """Return one copy's row under policy `action` (without one: `get`); raises NotFound, Forbidden."""
        table = self.resource.table
        query = self.rows.where(table.c.id == (ids.canonical(row_id) or ""), table.c.deleted_at.is_(None))
        if not context.is_admin:
            query = query.where(table.c.project_id == context.project_id)
        with services.db.reading() as session:
            row = session.execute(query).one_or_none()
        if row is None:
            raise self.not_found(row_id)
        services.policy.check(context, action or self.get, volume_rows.target_of(row))
        return row

    def list_page(self, services: Services, context: RequestContext, query: Query) -> Page:
        """Return a page of `show`'s rows; raises NotFound for an unknown marker."""
        services.policy.check(context, self.get_all)
        table = self.resource.table
        scope = [table.c.deleted_at.is_(None)]
        if query.project_id is not None:
            scope.append(table.c.project_id == query.project_id)
        with services.db.reading() as session:
            return read_page(session, self.resource, query, scope, selection=self.rows)

    def to_change(self, services: Services, session: orm.Session, context: RequestContext, row_id: str,
                  action: str) -> Row:
        """Return a copy for policy `action`, locked until the transaction ends; raises NotFound, Forbidden."""
        model = self.resource.model
        row: Row | None = session.get(model, ids.canonical(row_id) or "")
        if row is None or not (context.is_admin or row.project_id == context.project_id):
            raise self.not_found(row_id)
        services.policy.check(context, action, volume_rows.target_of(row))
        services.db.lock_row(session, model, model.id == row.id)
        session.refresh(row)
        if row.deleted_at is not None:
            raise self.not_found(row_id)
        return row

    def delete(self, services: Services, context: RequestContext, row_id: str) -> None:
        """Accept a deletion; raises NotFound, WrongStatus, ResourceLocked, InUse while a volume is made from it."""

        def work(session: orm.Session) -> str:
            row = self.to_change(services, session, context, row_id, self.delete_action)
            target = Target(self.moves.noun, row.id)
            check_unlocked(session, [target])
            if not self.deletion.may_start_in(row.state):
                raise errors.WrongStatus(resource=self.moves.noun, id=row.id, status=row.state,
                                         allowed=" or ".join(self.deletion.starts_in))
            self.check_heirs(session, row)
            return accept(session, context, self.deletion, target, Arguments(), project_id=row.project_id,
                          agent=self.agent_of(session, row)).id

        services.waker.wake(context, in_turn(services, work))

    def force_delete(self, services: Services, context: RequestContext, row_id: str) -> None:
        """As `delete`, whatever the status: an operation that holds the copy is asked to stop and waited for."""

        def work(session: orm.Session) -> list[str]:
            row = self.to_change(services, session, context, row_id, self.admin + "force_delete")
            self.check_heirs(session, row)
            accepted = accept_once_behind(
                session, context, self.deletion, Target(self.moves.noun, row.id), Arguments(),
                project_id=row.project_id, agent=self.agent_of(session, row))
            return [accepted.id] if accepted is not None else []

        services.waker.wake(context, *services.db.write(work))

    def reset_status(self, services: Services, context: RequestContext, row_id: str, status: str,
                     check: Callable[[Row], None]) -> None:
        """Set the stored state that an administrator says; `check` raises Invalid for one that it cannot have.

        Raises ResourceLocked while an operation holds it.
        """

        def work(session: orm.Session) -> None:
            row = self.to_change(services, session, context, row_id, self.admin + "reset_status")
            check_unlocked(session, [Target(self.moves.noun, row.id)])
            check(row)
            self.moves.move(session, row.id, status, {"fault": None} if status == states.READY else {})

        services.db.write(work)
