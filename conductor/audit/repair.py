"""What a check may do to repair: write, lock resources, ask agents, all in the name of the audit's operation."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Concatenate, ParamSpec, TypeVar

import sqlalchemy as sa
from sqlalchemy import exc, orm

from conductor.audit.finding import Finding, NotRepaired
from conductor.faults import Failure, fault_of
from conductor.run import Run
from hostler import errors
from hostler.context import RequestContext
from hostler.db.models import Lock
from hostler.operations import lease
from hostler.operations.accept import Target, check_unlocked
from hostler.resources.server.states import ERROR  # the word of every noun
from hostler.resources.transitions import Transitions

Result = TypeVar("Result")
Arguments = ParamSpec("Arguments")


class Repairs:
    """The tools; `delete_unknown` lets data go that no record tells of."""

    def __init__(self, run: Run, *, delete_unknown: bool = False) -> None:
        self.run = run
        self.cloud = run.cloud
        self.context = run.context
        self.delete_unknown = delete_unknown

    def write(self, work: Callable[[orm.Session], Result]) -> Result:
        """Run `work` in a transaction, unless another conductor has taken the audit over."""
        return self.run.write(work)

    @contextlib.contextmanager
    def hold(self, targets: Sequence[Target]) -> Iterator[None]:
        """Hold resources for a while; raises NotRepaired when an operation has one of them."""
        if not targets:
            yield
            return

        def take(session: orm.Session) -> None:
            check_unlocked(session, targets)
            session.add_all([Lock(resource_id=target.id, resource_type=target.type, operation_id=self.run.held.id,
                                  kind=self.run.held.kind) for target in targets])
            session.flush()

        try:
            self.write(take)
        except (errors.ResourceLocked, exc.IntegrityError) as error:
            raise NotRepaired("an operation works on it now") from error
        try:
            yield
        finally:
            self.let_go([target.id for target in targets])

    def let_go(self, resource_ids: Sequence[str] | None = None) -> None:
        """Give back what `hold` took; None: all that an earlier, interrupted attempt of this audit held."""
        query = sa.delete(Lock).where(Lock.operation_id == self.run.held.id, Lock.resource_id != self.run.resource_id)
        if resource_ids is not None:
            query = query.where(Lock.resource_id.in_(resource_ids))
        self.write(lambda session: session.execute(query))

    def ask(self, agent: str, method: Callable[Concatenate[RequestContext, str, Arguments], Result],
            *arguments: Arguments.args, **named: Arguments.kwargs) -> Result:
        """Return what a method of ComputeAPI or VolumeAPI answers for `agent`; raises NotRepaired with what it said."""
        try:
            return method(self.context, agent, *arguments, **named)
        except errors.StaleAttempt as error:
            raise lease.LeaseLost(self.run.held.id) from error
        except errors.HostlerError as error:
            raise NotRepaired(str(error)) from error

    def put_into_error(self, noun: Transitions, finding: Finding, message: str, *, only_from: Collection[str]) -> str:
        """Put a finding's resource into error with `message` as its fault; raises NotRepaired when it has changed."""
        fault = fault_of(Failure("Audit", message))
        if not self.write(lambda session: noun.move(session, finding.target.id, ERROR, {"fault": fault},
                                                    only_from=only_from)):
            raise NotRepaired("its record has changed")
        return "put into error"
