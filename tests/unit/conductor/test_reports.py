"""What agents tell about guests: events and the reconciliation's look, on the records."""

from __future__ import annotations

import pytest

from conductor import heartbeats, reconcile
from hostler import clock
from hostler.db.models import Server
from tests.unit.conductor.conftest import Rig


def _server(rig: Rig, vm_state: str, power_state: str) -> str:
    """Return a server on host1 that no operation holds."""
    server_id, operation_id = rig.accept("server.create")
    rig.run(operation_id)

    def work(session: object) -> None:
        row = session.get_one(Server, server_id)  # type: ignore[attr-defined]
        row.host_id, row.vm_state, row.power_state, row.launched_at = rig.host_id, vm_state, power_state, None

    rig.db.write(work)
    return server_id


@pytest.mark.parametrize(("vm_state", "event", "power_state", "expected"), [
    ("stopped", "started", "running", "active"),
    ("stopped", "resumed", "running", "active"),
    ("paused", "resumed", "running", "active"),
    ("active", "paused", "paused", "paused"),
    ("active", "stopped", "shutdown", "stopped"),
    ("active", "crashed", "crashed", "stopped"),
    ("error", "started", "running", "error"),
])
def test_records_follow_events(rig: Rig, vm_state: str, event: str, power_state: str, expected: str) -> None:
    server_id = _server(rig, vm_state, "nostate")
    heartbeats.record_events(rig.db, "host1", [{"server_id": server_id, "event": event, "power_state": power_state,
                                               "at": clock.iso_micro(clock.utcnow())}])
    assert (rig.one(Server, server_id).vm_state, rig.one(Server, server_id).power_state) == (expected, power_state)


@pytest.mark.parametrize("known_power", ["running", "shutdown"])
def test_reconciliation_heals_a_state_whose_event_was_lost(rig: Rig, known_power: str) -> None:
    server_id = _server(rig, "stopped", known_power)
    rig.cloud.images.signed_url.return_value = "/x"  # type: ignore[attr-defined]
    [verdict] = reconcile.plan(rig.db, rig.conf, rig.cloud.images, "host1",
                               [{"server_id": server_id, "power_state": "running"}])
    assert verdict["action"] == "keep"
    assert rig.one(Server, server_id).vm_state == "active"
