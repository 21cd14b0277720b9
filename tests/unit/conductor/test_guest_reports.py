"""What agents tell about guests: events and the reconciliation's look, on the records."""

from __future__ import annotations

import pytest

from conductor import guest_reports, reconcile
from hostler import clock, ids
from hostler.db.models import Server
from tests.harness.conductor_rig import Rig


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
    guest_reports.record_events(rig.db, "host1", [{"server_id": server_id, "event": event, "power_state": power_state,
                                               "at": clock.iso_micro(clock.utcnow()), "revision": 0}])
    assert (rig.one(Server, server_id).vm_state, rig.one(Server, server_id).power_state) == (expected, power_state)


@pytest.mark.parametrize("known_power", ["running", "shutdown"])
def test_reconciliation_heals_a_state_whose_event_was_lost(rig: Rig, known_power: str) -> None:
    server_id = _server(rig, "stopped", known_power)
    rig.cloud.images.signed_url.return_value = "/x"  # type: ignore[attr-defined]
    [verdict] = reconcile.plan(rig.cloud, "host1",
                               [{"server_id": server_id, "power_state": "running", "revision": 0}])["servers"]
    assert verdict["action"] == "keep"
    assert rig.one(Server, server_id).vm_state == "active"


def _plan(rig: Rig, *present: tuple[str, str], host: str = "host1") -> dict[str, str]:
    rig.cloud.images.signed_url.return_value = "/x"  # type: ignore[attr-defined]
    found = [{"server_id": server_id, "power_state": power, "revision": 0} for server_id, power in present]
    return {verdict["server_id"]: verdict["action"]
            for verdict in reconcile.plan(rig.cloud, host, found)["servers"]}


def test_a_server_that_lost_its_guest_is_started_again(rig: Rig) -> None:
    active, stopped = _server(rig, "active", "running"), _server(rig, "stopped", "shutdown")
    assert _plan(rig, (active, "nostate")) == {active: "start", stopped: "leave"}


def test_a_deleted_server_is_removed(rig: Rig) -> None:
    server_id = _server(rig, "active", "running")

    def work(session: object) -> None:
        session.get_one(Server, server_id).deleted_at = clock.utcnow()  # type: ignore[attr-defined]

    rig.db.write(work)
    assert _plan(rig, (server_id, "running")) == {server_id: "destroy"}


def test_a_guest_without_any_record_is_left_alone(rig: Rig) -> None:
    stranger = ids.new_id()
    assert _plan(rig, (stranger, "running")) == {stranger: "leave"}


def test_a_host_the_cloud_does_not_know_loses_nothing(rig: Rig) -> None:
    server_id = _server(rig, "active", "running")
    assert _plan(rig, (server_id, "running"), host="elsewhere") == {server_id: "leave"}


def test_a_server_that_an_operation_holds_is_left_to_it(rig: Rig) -> None:
    server_id, _ = rig.accept("server.create")
    assert _plan(rig, (server_id, "running")) == {server_id: "leave"}
