"""Chooses and claims back ends: the plan is made on what was just read, the claim proves it in one transaction.

The claim is what makes the volumes' records name their back ends. Several volumes of one request are claimed together
or not at all. A volume that is on a back end already (and not on an excluded one) gets the same again, so asking twice
is harmless.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from typing import Any, cast

import sqlalchemy as sa
from oslo_config import cfg
from sqlalchemy import orm

from hostler import errors
from hostler.context import RequestContext
from hostler.db.compiled import execute_built
from hostler.db.engine import Database
from hostler.db.models import Volume
from hostler.operations import lease
from hostler.resources.volume import backend_claims
from scheduler.backend_plan import BackendPlan, BackendSelector
from scheduler.backend_request import BackendChoice, BackendRequest
from scheduler.backend_states import BackendState, read_backends
from scheduler.backend_uses import BackendUses

LOG = logging.getLogger(__name__)

_HINTS = ("same_host", "different_host")


@dataclasses.dataclass(frozen=True)
class _Choice:
    """What a request gets; `new` is what must be claimed."""

    request: BackendRequest
    backend: BackendState
    new: bool


class BackendChooser:
    """Answers requests for back ends; any number may work on one database."""

    def __init__(self, conf: cfg.ConfigOpts, db: Database, selector: BackendSelector) -> None:
        self._db = db
        self._selector = selector
        self._uses = BackendUses()
        self._down_time_s = float(conf.service_down_time)
        self._max_claim_attempts: int = conf.scheduler.max_claim_attempts

    def choose(self, requests: Sequence[BackendRequest],
               context: RequestContext | None = None) -> list[BackendChoice]:
        """Return what was claimed for each request; raises NoValidBackend, StaleAttempt.

        The claim is made while the context's attempt runs; None (tests and benchmarks) claims for no operation.
        """
        afresh = False
        for _ in range(self._max_claim_attempts):
            with self._db.reading() as session:
                volumes = _volumes(session, requests)
                completed = [_completed(session, request, volumes) for request in requests]
                states = read_backends(session, self._db.now(), self._down_time_s, self._uses, afresh=afresh)
            try:
                choices = self._plan(completed, states, volumes)
            except errors.NoValidBackend:
                if afresh:
                    raise
                afresh = True  # cached sums may be old: no request is refused because of them
                continue
            if self._claim(choices, context):
                return [_described(choice.backend) for choice in choices]
            LOG.debug("another claim took a back end first: %s", [choice.backend.name for choice in choices])
        raise errors.NoValidBackend(reason="(other requests took every back end that was chosen)", removed={},
                                    retry=True)

    def _plan(self, requests: Sequence[BackendRequest], states: list[BackendState],
              volumes: dict[str, Any]) -> list[_Choice]:
        by_id = {state.id: state for state in states}
        choices = []
        for request in requests:
            kept = self._kept(request, by_id, volumes[request.volume_id])
            if kept is not None:
                choices.append(_Choice(request, kept, new=False))
                continue
            current = list(by_id.values())
            plan = self._selector.select(request, current)
            if not plan.backends:
                raise _no_valid_backend(plan, len(current))
            best = plan.backends[0]
            choices.append(_Choice(request, best, new=True))
            by_id[best.id] = best.with_claim(request.size_gib)
        return choices

    def _kept(self, request: BackendRequest, by_id: dict[str, BackendState], volume: Any) -> BackendState | None:
        """Return the back end that needs no claim: the volume holds it already, or may stay where it is."""
        held = by_id.get(volume.target_backend_id if request.moving else volume.backend_id)
        if held is not None and held.id not in request.excluded_backends:
            return held
        present = by_id.get(volume.backend_id)
        if request.may_stay and present is not None \
                and self._selector.may_stay(request, present, list(by_id.values())):
            return present
        return None

    def _claim(self, choices: Sequence[_Choice], context: RequestContext | None) -> bool:
        new = [choice for choice in choices if choice.new]
        if not new:
            return True
        claimed = self._db.write(lambda session: _claim(session, new, context))
        for backend_id, (generation, gib) in (claimed or {}).items():
            self._uses.note_claim(backend_id, generation, gib)
        return claimed is not None


# Built once, for every choice.
_TABLE = cast(sa.Table, Volume.__table__)
_VOLUMES = sa.select(Volume.id, Volume.claimed_gib, Volume.backend_id, Volume.target_backend_id).where(
    Volume.id.in_(sa.bindparam("ids", expanding=True)), Volume.deleted_at.is_(None))
_HELD = _VOLUMES.order_by(Volume.id).with_for_update()
_PLACE, _MOVE = (sa.update(_TABLE).where(_TABLE.c.id == sa.bindparam("volume")).values(
    {column: sa.bindparam("place"), _TABLE.c.updated_at: _TABLE.c.updated_at})
    for column in (_TABLE.c.backend_id, _TABLE.c.target_backend_id))


def _claim(session: orm.Session, choices: Sequence[_Choice],
           context: RequestContext | None) -> dict[str, tuple[int, int]] | None:
    """Claim all; returns the new generation and what was claimed by back end, or None when any of it was lost."""
    if context is not None:
        lease.hold_running(session, context)  # as in `scheduler.claims`
    now = _held_rows(session, choices)
    wanted: dict[str, int] = {}
    for choice in choices:
        row = now.get(choice.request.volume_id)
        if row is None or (row.target_backend_id if choice.request.moving else row.backend_id) is not None:
            session.rollback()  # another request of the same volume was faster, or it is gone
            return None
        wanted[choice.backend.id] = wanted.get(choice.backend.id, 0) + choice.request.size_gib
    generations = {choice.backend.id: choice.backend.generation for choice in choices}
    claimed = {}
    for backend_id in sorted(wanted):
        generation = backend_claims.claim(session, backend_id, gib=wanted[backend_id],
                                          expected_generation=generations[backend_id])
        if generation is None:
            session.rollback()
            return None
        claimed[backend_id] = (generation, wanted[backend_id])
    for choice in choices:
        session.execute(_MOVE if choice.request.moving else _PLACE,
                        {"volume": choice.request.volume_id, "place": choice.backend.id})
    return claimed


def _held_rows(session: orm.Session, choices: Sequence[_Choice]) -> dict[str, Any]:
    volume_ids = sorted(choice.request.volume_id for choice in choices)
    return {row.id: row for row in execute_built(session, _HELD, {"ids": volume_ids})}


def _volumes(session: orm.Session, requests: Sequence[BackendRequest]) -> dict[str, Any]:
    wanted = {request.volume_id for request in requests}
    found = {row.id: row for row in execute_built(session, _VOLUMES, {"ids": list(wanted)})}
    for missing in sorted(wanted - found.keys()):
        raise errors.NotFound(resource="Volume", id=missing)
    return found


def _completed(session: orm.Session, request: BackendRequest, volumes: dict[str, Any]) -> BackendRequest:
    volume = volumes[request.volume_id]
    hints = {hint: _listed(request.hints[hint]) for hint in _HINTS if request.hints.get(hint)}
    found = {hint: [backend_id for backend_id in session.scalars(
        sa.select(Volume.backend_id).where(Volume.id.in_(ids), Volume.deleted_at.is_(None))) if backend_id]
        for hint, ids in hints.items()}
    return dataclasses.replace(request, size_gib=volume.claimed_gib, present_backend_id=volume.backend_id,
                               hint_backend_ids=found)


def _listed(hint: Any) -> list[str]:
    return [hint] if isinstance(hint, str) else [str(item) for item in hint]


def _described(backend: BackendState) -> BackendChoice:
    return BackendChoice(backend_id=backend.id, node=backend.node, backend=backend.name, zone=backend.zone)


def _no_valid_backend(plan: BackendPlan, backends: int) -> errors.NoValidBackend:
    parts = [f"{name} removed {count} of {reached}" for name, (count, reached) in plan.removed.items()]
    why = ", ".join(parts) if backends else "no storage node has reported in yet"
    return errors.NoValidBackend(reason=f"({why})", retry=plan.may_return,
                                 removed={name: count for name, (count, _) in plan.removed.items()})
