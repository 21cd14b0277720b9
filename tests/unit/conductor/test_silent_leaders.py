"""Which words about a host that leads outside cost it its routers."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from conductor import elections as sweeps
from conductor.silent_leaders import SilentLeaders
from hostler import errors
from hostler.db.models import Host, Operation
from hostler.db.moments import now
from hostler.resources.network import elections
from tests.harness import elected_routers
from tests.harness.conductor_rig import Rig

LEADER = "host3"  # of four


class Scene:
    """`views` is what each host says of the leader; one without is silent on the bus."""

    def __init__(self, rig: Rig) -> None:
        self.rig, self.views, self.asked, self.woken = rig, dict[str, Any](), list[str](), list[str]()
        self.router_id = rig.db.write(lambda session: elected_routers.seed(session, rig))
        rig.db.write(lambda session: session.execute(sa.update(Host).values(last_seen_at=now())))
        rig.host.get_leaders = self._get_leaders  # type: ignore[attr-defined]
        self.judge = SilentLeaders(rig.cloud, self.woken.append)

    def _get_leaders(self, _context: Any, host: str, _timeout_s: float) -> dict[str, bool | None]:
        self.asked.append(host)
        view = self.views.get(host, errors.Silent(part="The host"))
        if isinstance(view, Exception):
            raise view
        return {} if host == LEADER else {LEADER: view}

    def leader(self) -> str:
        with self.rig.db.reading() as session:
            host_id = elections.leader(session, self.router_id)
            return str(session.scalar(sa.select(Host.name).where(Host.id == host_id)))

    def silence(self) -> None:
        """Let the leader's lease end."""
        self.rig.db.write(lambda session: session.execute(sa.update(Host).where(Host.name == LEADER).values(
            last_seen_at=now(-60))))

    def sweep(self) -> list[str]:
        return sweeps.sweep(self.rig.db, self.rig.conf, self.judge.still_leads)


@pytest.fixture
def scene(rig: Rig) -> Scene:
    return Scene(rig)


@pytest.mark.parametrize(("views", "moves"), [
    ({}, True),
    ({"host2": False, "host4": None}, True),
    ({"host2": False, "host4": True}, False),
    ({LEADER: "alive"}, False),
    ({LEADER: "alive", "host2": None, "host4": None}, False),
    ({LEADER: "alive", "host2": False}, True),
    ({LEADER: "alive", "host2": False, "host4": True}, False),
    ({LEADER: errors.BrokerSilent()}, False),
    ({LEADER: errors.Incompatible(part="The host")}, False)])
def test_what_costs_a_host_its_routers(scene: Scene, views: dict[str, Any], moves: bool) -> None:
    scene.views = views
    scene.judge.hear(scene.rig.context, "host1", LEADER)
    assert (scene.leader() != LEADER) == moves
    assert len(scene.woken) == moves
    if moves:
        operation = scene.rig.one(Operation, scene.woken[0])
        assert operation.kind == "network.update_router" and operation.arguments["leaving"] == LEADER
        # Those whose answer shows that they live are preferred.
        assert scene.leader() in ("host1", *(host for host, view in views.items() if view is not None))


def test_nobody_else_is_heard(scene: Scene) -> None:
    for watcher, leader in (("host9", LEADER), (LEADER, LEADER), ("host1", "host2"), ("host1", "nobody")):
        scene.judge.hear(scene.rig.context, watcher, leader)
    assert scene.leader() == LEADER and not scene.asked


def test_the_second_word_comes_too_late(scene: Scene) -> None:
    scene.judge.hear(scene.rig.context, "host1", LEADER)
    chosen = scene.leader()
    scene.asked.clear()
    scene.judge.hear(scene.rig.context, "host2", LEADER)
    assert (scene.leader(), scene.asked, len(scene.woken)) == (chosen, [], 1)


def test_a_host_is_judged_once_at_a_time(scene: Scene) -> None:
    def again(*arguments: Any) -> dict[str, bool | None]:
        scene.judge.hear(scene.rig.context, "host2", LEADER)
        return scene._get_leaders(*arguments)

    scene.rig.host.get_leaders = again  # type: ignore[attr-defined]
    scene.judge.hear(scene.rig.context, "host1", LEADER)
    assert sorted(scene.asked) == ["host2", LEADER, "host4"] and len(scene.woken) == 1


def test_one_that_others_hear_keeps_its_routers_beyond_its_lease(scene: Scene) -> None:
    scene.silence()
    scene.views = {"host1": True, "host2": None}
    assert scene.sweep() == [] and scene.leader() == LEADER
    scene.asked.clear()
    assert scene.sweep() == [] and not scene.asked  # believed for some seconds
    scene.rig.db.write(lambda session: session.execute(sa.update(Host).where(Host.name == LEADER).values(
        forced_down=True)))
    assert len(scene.sweep()) == 1 and scene.leader() != LEADER


def test_nobody_loses_them_while_the_broker_is_silent(scene: Scene) -> None:
    scene.silence()
    scene.views = dict.fromkeys(("host1", "host2", "host4"), errors.BrokerSilent())
    assert scene.sweep() == [] and scene.leader() == LEADER
    scene.views = {}
    assert len(scene.sweep()) == 1


@pytest.mark.parametrize("views", [{}, {"host1": None, "host2": False}])
def test_one_that_nobody_hears_loses_them_with_its_lease(scene: Scene, views: dict[str, Any]) -> None:
    scene.silence()
    scene.views = views
    assert len(scene.sweep()) == 1 and scene.leader() != LEADER
