"""Rebuilding on the fake host: once for each operation, whatever is repeated."""

from __future__ import annotations

import dataclasses
import shutil

import pytest

from compute.virt import driver as virt
from hostler import errors, ids
from hostler.agent.faults import Order
from hostler.resources.server.specs import ServerSpec
from tests.harness.compute_agents import Agent
from tests.harness.contexts import attempt_of


@pytest.fixture
def running(agent: Agent, server: ServerSpec) -> ServerSpec:
    agent.spawn(server)
    for name in ("disk", "disk.eph0", "disk.config"):
        agent.layout.disk(server.id, name).write_bytes(b"old")
    return server


def _rebuild(agent: Agent, server: ServerSpec, operation: str = "rebuild", attempt: int = 1, *, start: bool = True
             ) -> str:
    answer = agent.manager.rebuild_server(attempt_of(operation, attempt), server.to_wire(), start)
    return str(answer["power_state"])


@pytest.mark.contract("N-REBUILD")
def test_the_disks_are_new_and_the_rest_stays(agent: Agent, running: ServerSpec) -> None:
    assert running.image is not None
    newer = dataclasses.replace(running, image=dataclasses.replace(running.image, id=ids.new_id(), sha256="cd" * 32),
                                user_data="bmV3", admin_password="new")
    assert _rebuild(agent, newer) == virt.RUNNING
    assert agent.layout.disk(running.id).read_bytes() == b""
    assert not agent.layout.disk(running.id, "disk.eph0").exists()
    kept = agent.specs.require(running.id)
    assert (kept.image, kept.user_data, kept.admin_password) == (newer.image, "bmV3", "new")
    assert kept.ports == running.ports and set(agent.network.plugged) == {running.ports[0].id}


def test_a_repeated_call_keeps_what_the_new_guest_wrote(agent: Agent, running: ServerSpec) -> None:
    _rebuild(agent, running)
    agent.layout.disk(running.id).write_bytes(b"new")
    _rebuild(agent, running, attempt=2)
    assert agent.layout.disk(running.id).read_bytes() == b"new"
    _rebuild(agent, running, "another rebuild")
    assert agent.layout.disk(running.id).read_bytes() == b""


@pytest.mark.parametrize("step", ["rebuild.guest", "rebuild.disks", "rebuild.mark", "driver.create:before",
                                  "driver.create:after", "spawn.activate"])
def test_it_goes_on_where_it_broke_off(agent: Agent, running: ServerSpec, step: str) -> None:
    agent.faults.order(Order(step, "fail", reason="no"))
    with pytest.raises(errors.AgentError):
        _rebuild(agent, running)
    assert _rebuild(agent, running, attempt=2) == virt.RUNNING
    assert agent.layout.disk(running.id).read_bytes() == b""


def test_an_image_that_cannot_be_had_costs_nothing(agent: Agent, running: ServerSpec) -> None:
    agent.faults.order(Order("image.fetch", "fail", reason="gone"))
    with pytest.raises(errors.AgentError, match="gone"):
        _rebuild(agent, running)
    assert agent.layout.disk(running.id).read_bytes() == b"old"
    assert agent.driver.get_power_state(running.id) == virt.RUNNING


def test_a_server_that_was_off_is_off_afterwards(agent: Agent, running: ServerSpec) -> None:
    agent.manager.stop_server(attempt_of("stop"), running.to_wire(), 0)
    assert _rebuild(agent, running, start=False) == virt.SHUTDOWN
    assert agent.driver.get_power_state(running.id) == virt.SHUTDOWN
    assert agent.layout.disk(running.id).read_bytes() == b""


def test_without_its_directory_nothing_is_rebuilt(agent: Agent, running: ServerSpec) -> None:
    shutil.rmtree(agent.layout.server(running.id))
    with pytest.raises(errors.AgentError, match="not on its host"):
        _rebuild(agent, running)
