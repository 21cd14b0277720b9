"""Right after a long outage a move or a boot ended in ERROR: "service_up removed 2 of 2".

Every agent had been silent for longer than the scheduler waits for, because nobody was there to hear it. The conductor
knows of the outage, and its requests then count on every enabled host and node to report again.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from conductor.run import HandOver, Outages
from hostler import clock, errors
from hostler.db.models import Operation, VolumeNode
from scheduler.backend_request import BackendRequest
from scheduler.plan import Selector
from tests.harness.scheduler_parts import FILTERS
from tests.harness.scheduler_rig import make_request, make_snapshot
from tests.harness.volume_rig import VolumeRig


@pytest.fixture
def rig(tmp_path: Path) -> VolumeRig:
    """Two storage nodes that have been silent for an hour."""
    made = VolumeRig(tmp_path, **{"conductor.agent_patience": 300})
    report(made, clock.utcnow() - dt.timedelta(hours=1))
    return made


def report(rig: VolumeRig, at: dt.datetime) -> None:
    rig.db.write(lambda session: session.execute(sa.update(VolumeNode).values(last_seen_at=at)))


def migrate(rig: VolumeRig) -> str:
    volume_id = rig.volume()
    return rig.accept("volume.migrate", volume_id, backend_id=rig.backends["b2"])


def create(rig: VolumeRig) -> str:
    return rig.accept("volume.create", rig.volume(backend=None), source=None)


@pytest.mark.parametrize("accept", [create, migrate])
def test_a_volume_waits_for_nodes_that_nobody_could_hear(rig: VolumeRig, accept: Any) -> None:
    operation_id = accept(rig)
    assert isinstance(rig.run(operation_id), HandOver)
    assert rig.one(Operation, operation_id).waiting_for == "backends"
    report(rig, clock.utcnow())
    rig.let_pass(operation_id)
    assert rig.finish(operation_id) == "succeeded"


@pytest.mark.parametrize("accept", [create, migrate])
def test_without_an_outage_a_node_that_is_long_gone_is_not_waited_for(rig: VolumeRig, accept: Any) -> None:
    rig.cloud.outages = Outages(window_s=0)
    assert rig.finish(accept(rig)) == "failed"


def test_several_volumes_at_once_wait_too(rig: VolumeRig) -> None:
    requests = [BackendRequest(volume_id=rig.volume(backend=None), patient=True) for _ in range(2)]
    with pytest.raises(errors.NoValidBackend) as refused:
        rig.cloud.scheduler.select_backends(rig.context, requests)
    assert refused.value.fields["retry"] is True


@pytest.mark.parametrize(("host", "patient", "retry"), [
    ({"up": False, "in_service": True}, True, True),
    ({"up": False, "in_service": False}, True, True),  # ill, as a host may be that has just come back
    ({"up": False, "enabled": False}, True, False),
    ({"up": False}, False, False),
    ({"up": False, "zone": "south"}, True, False),
])
def test_a_host_waits_likewise(host: dict[str, Any], patient: bool, retry: bool) -> None:
    plan = Selector(FILTERS, {}).select(make_request(zone="nova", patient=patient), make_snapshot(host))
    assert (plan.rows, plan.may_return) == ((), retry)
