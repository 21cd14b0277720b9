"""network.apply_rules, network.update, network.update_router, network.update_peers: hosts are told what changed; no
resource waits for it.

1. ApplyRules, UpdateNetwork, UpdateRouter or UpdatePeers (nothing to undo)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import orm
from taskflow.patterns import linear_flow

from conductor.faults import Failure
from conductor.procedure import Procedure
from conductor.run import Run
from conductor.tasks.host.networks import ApplyRules, UpdateNetwork, UpdatePeers
from conductor.tasks.host.routers import UpdateRouter
from hostler.operations.kinds import network as kinds


def _build_apply_rules() -> linear_flow.Flow:
    return linear_flow.Flow("network.apply_rules").add(ApplyRules())


def _build_update() -> linear_flow.Flow:
    return linear_flow.Flow("network.update").add(UpdateNetwork())


def _build_update_router() -> linear_flow.Flow:
    return linear_flow.Flow("network.update_router").add(UpdateRouter())


def _build_update_peers() -> linear_flow.Flow:
    return linear_flow.Flow("network.update_peers").add(UpdatePeers())


def _succeeded(_session: orm.Session, _run: Run, _results: Mapping[str, Any]) -> None:
    """Nothing to write: the records changed when the operation was accepted."""


def _failed(_session: orm.Session, _run: Run, _failure: Failure) -> None:
    """Nothing to write: the operation keeps the cause, and reconciliation brings the host up to date."""


APPLY_RULES = Procedure(kinds.APPLY_RULES, _build_apply_rules, _succeeded, _failed)
UPDATE = Procedure(kinds.UPDATE, _build_update, _succeeded, _failed)
UPDATE_ROUTER = Procedure(kinds.UPDATE_ROUTER, _build_update_router, _succeeded, _failed)
UPDATE_PEERS = Procedure(kinds.UPDATE_PEERS, _build_update_peers, _succeeded, _failed)
