"""Leases, delays and patience compared one node's clock with another's: a conductor ten minutes ahead failed a stop at
once, one that was behind did not look for work."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest

from hostler import clock, errors
from hostler.db.models import Operation, Server, Service
from hostler.liveness import Liveness
from hostler.operations import lease, states
from tests.harness.conductor_rig import Rig, rig

__all__ = ["rig"]

MINUTES = pytest.mark.parametrize("minutes", [10, -10, 60, -60])
Skew = Callable[[float], None]


@pytest.fixture
def skew(monkeypatch: pytest.MonkeyPatch) -> Skew:
    """Set this process's clock off by so many minutes."""
    def set_off(minutes: float) -> None:
        offset = dt.timedelta(minutes=minutes)
        monkeypatch.setattr(clock, "utcnow", lambda: dt.datetime.now(dt.UTC).replace(tzinfo=None) + offset)

    return set_off


@MINUTES
def test_a_lease_holds_for_a_node_that_is_ahead_and_ends_for_one_that_is_behind(rig: Rig, skew: Skew,
                                                                                minutes: float) -> None:
    _, operation_id = rig.accept("server.create")
    rig.claim(operation_id)
    skew(minutes)
    assert lease.claim(rig.db, operation_id, "other", 30) is None
    assert lease.due(rig.db, 10) == []
    rig.expire(operation_id)
    assert [found.id for found in lease.due(rig.db, 10)] == [operation_id]
    assert lease.claim(rig.db, operation_id, "other", 30) is not None


@MINUTES
def test_what_one_node_accepts_or_hands_over_another_takes_up_at_once(rig: Rig, skew: Skew, minutes: float) -> None:
    skew(minutes)
    server_id, operation_id = rig.accept("server.create")
    rig.host.fail["spawn_server"] = [errors.BrokerSilent()]
    assert rig.run(operation_id) is not None
    skew(0)
    row = rig.one(Operation, operation_id)
    assert abs(row.not_before - clock.utcnow()) < dt.timedelta(seconds=30)
    rig.expire_delay(operation_id)
    skew(-minutes)
    assert rig.run(operation_id) is None
    assert rig.one(Server, server_id).vm_state == "active"


@MINUTES
def test_patience_is_measured_on_one_clock(rig: Rig, skew: Skew, minutes: float) -> None:
    rig.conf.set_override("agent_patience", 120, "conductor")
    server_id, create_id = rig.accept("server.create")
    assert rig.run(create_id) is None
    _, operation_id = rig.accept("server.stop", server_id)
    rig.host.fail["stop_server"] = [errors.Silent(part="The compute service on host1")] * 2
    assert rig.run(operation_id) is not None
    skew(minutes)
    rig.expire_delay(operation_id)
    assert rig.run(operation_id) is not None, "it goes on waiting"
    rig.expire_delay(operation_id)
    assert rig.run(operation_id) is None
    assert rig.one(Operation, operation_id).state == states.SUCCEEDED


@MINUTES
def test_a_live_service_is_up_whatever_its_clock_says(rig: Rig, skew: Skew, minutes: float) -> None:
    skew(minutes)
    liveness = Liveness(rig.conf, rig.db, "nova-conductor")
    rig.db.write(lambda session: liveness._write(session, clock.utcnow()))
    skew(0)
    with rig.db.reading() as session:
        service = session.query(Service).one()
    assert abs(rig.db.now() - service.last_seen_at) < dt.timedelta(seconds=20)
    assert abs(rig.db.now() - clock.utcnow()) < dt.timedelta(seconds=20)
