"""A whole agent as a process builds it: start, what it says, restart, stop."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conductor import rpcapi as conductor_rpcapi
from hostler import errors, ids
from hostler.bus import Bus
from hostler.resources.volume.specs import SourceSpec
from tests.harness.contexts import attempt_of
from tests.harness.volume_agents import NODE, Conductor, load, new_volume, wait_for
from volume import service
from volume.drivers.fake import FakeDriver
from volume.rpcapi import VolumeAPI


@dataclasses.dataclass
class World:
    """What an agent finds around it."""

    bus: Bus
    conductor: Conductor
    api: VolumeAPI


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    bus, conductor = Bus(load(tmp_path_factory.mktemp("bus"))), Conductor()
    server = bus.server(conductor_rpcapi.TOPIC, "c1", conductor, conductor_rpcapi.RPC_VERSION)
    server.start()
    yield World(bus, conductor, VolumeAPI(bus))
    server.stop()
    server.wait()
    bus.close()


@pytest.fixture(autouse=True)
def _fresh(world: World) -> None:
    world.conductor.reset()
    world.conductor.reports.clear()


def red(agent: service.VolumeService) -> FakeDriver:
    driver = agent.backends.driver("red")
    assert isinstance(driver, FakeDriver)
    return driver


def test_an_agent_reports_before_it_asks_what_to_remove(tmp_path: Path, world: World) -> None:
    known: list[bool] = []

    def answer(present: dict[str, Any]) -> dict[str, Any]:
        known.append(bool(world.conductor.reports))
        return {}

    world.conductor.verdict = answer
    agent = service.build(load(tmp_path, **{"volume.availability_zone": "east"}), world.bus)
    agent.start()
    try:
        wait_for(lambda: known)
        report = world.conductor.reports[0]
        assert report["availability_zone"] == "east"
        assert [item["name"] for item in report["backends"]] == ["red", "blue"]
        assert report["connector"]["host"] == NODE
    finally:
        assert agent.stop()


def test_a_restarted_agent_has_its_volumes_and_its_fence(tmp_path: Path, world: World) -> None:
    volume, operation = new_volume(), ids.new_id()
    first = service.build(load(tmp_path), world.bus)
    first.start()
    world.api.create_volume(attempt_of(operation, 2), NODE, volume, SourceSpec())
    assert first.stop()
    (tmp_path / "volume" / "work" / "left.raw").touch()
    second = service.build(load(tmp_path), world.bus)
    second.start()
    try:
        assert red(second).find().volumes == (volume.id,)
        with pytest.raises(errors.StaleAttempt):
            world.api.delete_volume(attempt_of(operation), NODE, volume)
        assert not list((tmp_path / "volume" / "work").iterdir())
    finally:
        assert second.stop()


def test_a_stopping_agent_finishes_what_it_is_doing(tmp_path: Path, world: World) -> None:
    agent = service.build(load(tmp_path), world.bus)
    agent.start()
    driver, volume = red(agent), new_volume()
    begun, go_on, answers = threading.Event(), threading.Event(), []
    make = driver.create_volume

    def slow(*arguments: Any) -> Any:
        begun.set()
        assert go_on.wait(10)
        return make(*arguments)

    driver.create_volume = slow  # type: ignore[method-assign]
    call = threading.Thread(target=lambda: answers.append(
        world.api.create_volume(attempt_of(ids.new_id()), NODE, volume, SourceSpec())))
    call.start()
    assert begun.wait(10)
    stopped: list[bool] = []
    stop = threading.Thread(target=lambda: stopped.append(agent.stop()))
    stop.start()
    go_on.set()
    stop.join(20)
    call.join(20)
    assert stopped == [True] and answers == [{"provider": {"fake": volume.id}}]


def test_a_stopping_agent_gives_a_long_copy_up(tmp_path: Path, world: World) -> None:
    """To its caller that is an agent that went away: the operation is resumed, not failed."""
    agent = service.build(load(tmp_path, **{"volume.graceful_stop_timeout": 0}), world.bus)
    agent.start()
    begun = threading.Event()

    def endless(_volume: Any, _source: Any, progress: Any) -> Any:
        begun.set()
        while True:
            progress(1)

    red(agent).create_volume = endless  # type: ignore[method-assign]
    ended: list[type[Exception]] = []

    def call() -> None:
        try:
            world.api.create_volume(attempt_of(ids.new_id()), NODE, new_volume(), SourceSpec())
        except errors.HostlerError as error:
            ended.append(type(error))

    thread = threading.Thread(target=call)
    thread.start()
    assert begun.wait(10)
    assert agent.stop() is False
    thread.join(20)
    assert ended == [errors.Silent]


def test_an_agent_on_its_own_bus_can_build_it_anew(tmp_path: Path, world: World) -> None:
    agent = service.build(load(tmp_path))
    agent.start()
    try:
        wait_for(lambda: world.conductor.reports)
        agent._link.renew()
        seen = len(world.conductor.reports)
        assert agent._link.hears_itself()
        wait_for(lambda: len(world.conductor.reports) > seen)
    finally:
        assert agent.stop()


def test_an_agent_starts_with_a_back_end_that_is_away(tmp_path: Path, world: World) -> None:
    agent = service.build(load(tmp_path), world.bus)
    for backend in agent.backends:
        if backend.name == "red":
            backend.driver.healthy = False  # type: ignore[attr-defined]
    agent.start()
    try:
        wait_for(lambda: world.conductor.reports)
        assert [item["healthy"] for item in world.conductor.reports[0]["backends"]] == [False, True]
        with pytest.raises(errors.AgentError, match="The volume.s back end is not available"):
            world.api.create_volume(attempt_of(ids.new_id()), NODE, new_volume(), SourceSpec())
        world.api.create_volume(attempt_of(ids.new_id()), NODE, new_volume("blue"), SourceSpec())
    finally:
        assert agent.stop()
