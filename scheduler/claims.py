"""Turns a plan into a claim: the first ranked host that can still be claimed, with one transaction for each try.

A consumer that holds a claim already gets that host again (unless it is excluded), so asking twice is harmless.
"""

from __future__ import annotations

import dataclasses
import logging

import sqlalchemy as sa
from sqlalchemy import orm

from hostler.context import RequestContext
from hostler.db.engine import Database
from hostler.db.models import Allocation, Host, Zone
from hostler.operations import lease
from hostler.resources.server import allocations
from hostler.resources.server.allocations import Claimed
from scheduler import groups
from scheduler.plan import Plan
from scheduler.request import Request
from scheduler.snapshot import Snapshot
from scheduler.store import Store

LOG = logging.getLogger(__name__)

# Built once, for every claim.
_HELD = (sa.select(Host.id, Host.name).join(Allocation, Allocation.host_id == Host.id)
         .where(Allocation.consumer_id == sa.bindparam("consumer")).order_by(Host.id))
_ZONE = sa.select(Zone.name).join(Host, Host.zone_id == Zone.id).where(Host.id == sa.bindparam("host"))


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The result of a try: the host that the consumer holds, claimed just now (`claimed`) or earlier."""

    host_id: str
    claimed: Claimed | None = None


class Claimer:
    """Claims hosts; holds no state and may be used by any number of threads."""

    def __init__(self, db: Database, store: Store) -> None:
        self._db = db
        self._store = store

    def claim_first(self, request: Request, plan: Plan, snapshot: Snapshot,
                    context: RequestContext | None = None) -> str | None:
        """Claim the first host of the plan that still has room and return its id; None when other claims took
        all of them.

        Raises StaleAttempt when the context's attempt runs no more.
        """
        for row in plan.rows:
            host_id = snapshot.ids[row]
            outcome = self._try(request, host_id, context)
            if outcome is None:
                LOG.debug("%s: host %s was lost to another claim", request.consumer_id, snapshot.names[row])
                continue
            if outcome.claimed is not None:
                self._store.apply(host_id, request, outcome.claimed)
            return outcome.host_id
        return None

    def held(self, request: Request) -> str | None:
        """Return the host that the consumer holds a claim on, if it is none of the excluded ones."""
        with self._db.reading() as session:
            return _held(session, request)

    def _try(self, request: Request, host_id: str, context: RequestContext | None) -> Outcome | None:
        expected = self._store.generation_if_fits(host_id, request)
        wanted = allocations.Amounts(request.vcpus, request.ram_mib, request.disk_gib)

        def work(session: orm.Session) -> Outcome | None:
            known = expected
            # A scheduler that slept since it was asked would claim for a server that was deleted since: nobody would
            # give that claim back. So the operation is held until the claim is committed; nobody else claims for what
            # it has locked.
            if context is not None:
                lease.hold_running(session, context)
            else:
                allocations.lock_consumer(session, request.consumer_id)
            if known is not None and request.group_id is None and _takes_one(session):
                held, claimed = allocations.claim_at_once(
                    session, consumer_id=request.consumer_id, host_id=host_id, expected_generation=known,
                    wanted=wanted, excluded=request.excluded_hosts)
                if held is not None or claimed is not None:
                    return Outcome(held or host_id, claimed)
                known = None
            elif (held := _held(session, request)) is not None:
                return Outcome(held)
            if not groups.still_allows(session, request, host_id):
                return None
            claimed = allocations.claim(
                session, consumer_id=request.consumer_id, host_id=host_id, expected_generation=known,
                **wanted._asdict())
            if claimed is None:
                return None
            if claimed.used is not None and not _is_in_zone(session, host_id, request.zone):
                session.rollback()  # the host moved to another zone since the plan was made
                return None
            return Outcome(host_id, claimed)

        return self._db.write(work)


def _takes_one(session: orm.Session) -> bool:
    """Return whether the database takes the look for an earlier claim, and the claim, as one statement."""
    return session.connection().dialect.name == "postgresql"


def _held(session: orm.Session, request: Request) -> str | None:
    held = session.execute(_HELD, {"consumer": request.consumer_id})
    return next((row.id for row in held if not {row.id, row.name} & set(request.excluded_hosts)), None)


def _is_in_zone(session: orm.Session, host_id: str, zone: str | None) -> bool:
    return zone is None or session.scalar(_ZONE, {"host": host_id}) == zone
