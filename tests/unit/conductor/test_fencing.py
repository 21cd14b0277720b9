"""When a silent host counts as kept from its guests' disks."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
import sqlalchemy as sa

from conductor import fencing
from hostler.db.models import Host
from hostler.db.moments import now
from tests.harness.conductor_rig import Rig

PRESENT = dt.datetime(2026, 1, 1, 12)


def _host(silent_s: float | None, **values: Any) -> Host:
    seen = None if silent_s is None else PRESENT - dt.timedelta(seconds=silent_s)
    return Host(name="host1", last_seen_at=seen, **{"forced_down": False, "self_fence_s": 0, **values})


@pytest.mark.parametrize(("silent_s", "forced", "down"), [
    (5, False, False), (25, False, True), (5, True, True), (None, False, True)])
def test_down(silent_s: float | None, forced: bool, down: bool) -> None:
    assert fencing.is_down(_host(silent_s, forced_down=forced), PRESENT, 20) is down


@pytest.mark.parametrize(("silent_s", "values", "wait_s"), [
    (25.0, {"self_fence_s": 60}, 45.0), (69.0, {"self_fence_s": 60}, 1.0), (25.0, {}, None), (9999.0, {}, None)])
def test_a_host_that_may_still_write(silent_s: float, values: dict[str, Any], wait_s: float | None) -> None:
    danger = fencing.danger_of(_host(silent_s, **values), PRESENT)
    assert danger is not None
    assert danger.wait_s == wait_s


@pytest.mark.parametrize(("silent_s", "values"), [
    (71.0, {"self_fence_s": 60}), (1.0, {"forced_down": True}), (None, {"self_fence_s": 60})])
def test_a_host_that_cannot(silent_s: float | None, values: dict[str, Any]) -> None:
    assert fencing.danger_of(_host(silent_s, **values), PRESENT) is None


def _set(rig: Rig, **values: Any) -> None:
    rig.db.write(lambda session: session.execute(sa.update(Host).values(**values)))


def _close(rig: Rig) -> bool:
    return rig.db.write(lambda session: fencing.close(session, rig.host_id, 20))


def test_the_fence_is_not_closed_on_a_host_that_reports(rig: Rig) -> None:
    _set(rig, last_seen_at=now(-5))
    assert _close(rig) is False
    assert rig.one(Host, rig.host_id).fence_generation == 0
    _set(rig, last_seen_at=now(-25))
    assert _close(rig) is True
    assert rig.one(Host, rig.host_id).fence_generation == 1


def test_what_is_shared(rig: Rig) -> None:
    server_id, _ = rig.accept("server.stop")

    def shared() -> bool:
        with rig.db.reading() as session:
            return fencing.shares_disks(session, server_id, session.get_one(Host, rig.host_id))

    assert shared() is False
    _set(rig, servers_share="11111111-1111-4111-8111-111111111111")
    assert shared() is False, "nobody else has it"
    rig.db.write(lambda session: session.add(Host(
        name="host2", number=2, zone_id=session.get_one(Host, rig.host_id).zone_id,
        servers_share="11111111-1111-4111-8111-111111111111")))
    assert shared() is True
