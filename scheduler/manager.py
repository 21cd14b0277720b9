"""The scheduler's endpoint: a request in; a claimed host (or a back end for each volume) out, or why there is none."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from hostler import errors
from hostler.bus import rpc_method
from hostler.context import RequestContext
from hostler.db.engine import Database
from hostler.db.models import Allocation
from hostler.resources.network import kinds
from scheduler import groups
from scheduler.backend_chooser import BackendChooser
from scheduler.backend_request import BackendChoice, BackendRequest
from scheduler.claims import Claimer
from scheduler.plan import Plan, Selector
from scheduler.request import NO_GROUP, Choice, Request
from scheduler.snapshot import Snapshot
from scheduler.store import Store

LOG = logging.getLogger(__name__)

_HOST_HINTS = ("same_host", "different_host")


class SchedulerManager:
    """Answers `scheduler.rpcapi.SchedulerAPI`; any number of them may work on one database."""

    def __init__(self, db: Database, store: Store, selector: Selector, backends: BackendChooser, *,
                 max_claim_attempts: int) -> None:
        self._db = db
        self._store = store
        self._selector = selector
        self._backends = backends
        self._claimer = Claimer(db, store)
        self._max_claim_attempts = max_claim_attempts

    @rpc_method
    def select_host(self, context: RequestContext, request: dict[str, Any]) -> dict[str, Any]:
        """Choose and claim a host; see `SchedulerAPI.select_host`."""
        return self.choose(Request.from_wire(request), context).to_wire()

    @rpc_method
    def select_backends(self, context: RequestContext, requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Choose and claim back ends; see `SchedulerAPI.select_backends`."""
        asked = [BackendRequest.from_wire(request) for request in requests]
        return [choice.to_wire() for choice in self.choose_backends(asked, context)]

    def choose_backends(self, requests: Sequence[BackendRequest], context: RequestContext) -> list[BackendChoice]:
        """Return a claimed back end for each request; raises NoValidBackend with the reasons."""
        choices = self._backends.choose(requests, context)
        for request, choice in zip(requests, choices, strict=True):
            LOG.info("%s: volume %s goes to back end %s@%s", context.request_id, request.volume_id, choice.node,
                     choice.backend)
        return choices

    def choose(self, request: Request, context: RequestContext | None = None) -> Choice:
        """Return the claimed host; raises NoValidHost with the reasons.

        The claim is made while the context's attempt runs, else StaleAttempt is raised; None (tests and benchmarks)
        claims for no operation.
        """
        asked_at = self._store.now()
        request = self._completed(request)
        snapshot = self._store.current()
        plan = self._selector.select(request, snapshot)
        host_id = self._claimer.claim_first(request, plan, snapshot, context)
        if host_id is None:
            host_id = self._claimer.held(request)
        for _ in range(self._max_claim_attempts):
            if host_id is not None:
                break
            # What is in memory may be old: no request is refused because of it.
            snapshot = self._store.read_since(asked_at)
            asked_at = self._store.now()
            request = self._completed(request)
            plan = self._selector.select(request, snapshot)
            if not plan.rows:
                raise no_valid_host(plan, len(snapshot), request.networks)
            host_id = self._claimer.claim_first(request, plan, snapshot, context)
        if host_id is None:
            raise errors.NoValidHost(reason="There are not enough hosts available. (other requests took every host "
                                            "that was chosen)", removed={}, retry=True)
        choice = self._described(host_id, snapshot)
        LOG.info("%s: %s goes to host %s", context.request_id if context else "-", request.consumer_id, choice.host)
        return choice

    def _completed(self, request: Request) -> Request:
        """Return the request with what only the database knows: its group, and the hosts of servers in hints."""
        hints = [hint for hint in _HOST_HINTS if request.hints.get(hint)]
        if not hints and request.group_id == NO_GROUP:
            return dataclasses.replace(request, group_id=None)
        with self._db.reading() as session:
            request = groups.completed(session, request)
            found = {hint: list(session.scalars(sa.select(Allocation.host_id).where(
                Allocation.consumer_id.in_(_listed(request.hints[hint]))))) for hint in hints}
        return dataclasses.replace(request, hint_host_ids=found)

    def _described(self, host_id: str, snapshot: Snapshot) -> Choice:
        if host_id not in snapshot.row_of:
            snapshot = self._store.read_since(self._store.now())
        row = snapshot.row_of[host_id]
        return Choice(host_id=host_id, host=snapshot.names[row], zone=snapshot.zone.text(row))


def _listed(hint: Any) -> list[str]:
    return [hint] if isinstance(hint, str) else [str(item) for item in hint]


def no_valid_host(plan: Plan, hosts: int, networks: Sequence[str] = ()) -> errors.NoValidHost:
    """Return the error that says what each filter took away, and what the server's `networks` need."""
    parts = [f"{name} removed {count} of {reached}" for name, (count, reached) in plan.removed.items()]
    if networks and "traits" in plan.removed:
        parts.append(f"the server's networks need {' and '.join(kinds.words(trait) for trait in networks)}")
    why = ", ".join(parts) if hosts else "no host has reported in yet"
    return errors.NoValidHost(reason=f"There are not enough hosts available. ({why})",
                              removed={name: count for name, (count, _) in plan.removed.items()},
                              retry=plan.may_return)
