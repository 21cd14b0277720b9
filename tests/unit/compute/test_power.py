"""Power of servers on the fake host."""

from __future__ import annotations

import dataclasses
import shutil

import pytest

from compute.virt import driver as virt
from hostler import errors
from hostler.resources.server.specs import ServerSpec
from tests.harness.compute_agents import Agent
from tests.harness.contexts import attempt_of


@pytest.fixture
def running(agent: Agent, server: ServerSpec) -> ServerSpec:
    agent.spawn(server)
    return server


def test_stop_and_start_may_be_repeated(agent: Agent, running: ServerSpec) -> None:
    wire = running.to_wire()
    for attempt in (1, 2):
        assert agent.manager.stop_server(attempt_of("stop", attempt), wire, None) == {"power_state": "shutdown"}
    assert "driver.power_off" not in agent.faults.passed, "the guest obeyed"
    for attempt in (1, 2):
        assert agent.manager.start_server(attempt_of("start", attempt), wire) == {"power_state": "running"}
    assert agent.driver.domains[running.id].starts == 2


def test_a_guest_that_ignores_the_button_loses_its_plug(agent: Agent, running: ServerSpec) -> None:
    agent.driver.domains[running.id].deaf = True
    assert agent.manager.stop_server(attempt_of("stop"), running.to_wire(), 1) == {"power_state": "shutdown"}
    assert agent.driver.get_power_state(running.id) == virt.SHUTDOWN and "driver.power_off" in agent.faults.passed


def test_stop_with_no_patience_does_not_ask(agent: Agent, running: ServerSpec) -> None:
    agent.manager.stop_server(attempt_of("stop"), running.to_wire(), 0)
    assert "driver.shutdown" not in agent.faults.passed


@pytest.mark.parametrize(("properties", "asks"), [({"os_shutdown_timeout": "0"}, False),
                                                   ({"os_shutdown_timeout": "nonsense"}, True), ({}, True)])
def test_the_image_says_how_long_a_guest_may_take(agent: Agent, server: ServerSpec, properties: dict[str, str],
                                                  asks: bool) -> None:
    server = dataclasses.replace(server, image_properties=properties)
    agent.spawn(server)
    agent.manager.stop_server(attempt_of("stop"), server.to_wire(), None)
    assert ("driver.shutdown" in agent.faults.passed) == asks
    assert agent.driver.get_power_state(server.id) == virt.SHUTDOWN


@pytest.mark.contract("N-REBOOT")
def test_a_soft_reboot_asks_first_and_falls_back(agent: Agent, running: ServerSpec) -> None:
    assert agent.manager.reboot_server(attempt_of("r1"), running.to_wire(), False, None) == {"power_state": "running"}
    assert "driver.shutdown" in agent.faults.passed and "driver.power_off" not in agent.faults.passed
    agent.driver.domains[running.id].deaf = True
    agent.manager.reboot_server(attempt_of("r2"), running.to_wire(), False, 0)
    assert "driver.power_off" in agent.faults.passed and agent.driver.domains[running.id].starts == 3


@pytest.mark.contract("N-REBOOT")
def test_a_hard_reboot_makes_everything_again(agent: Agent, running: ServerSpec) -> None:
    agent.layout.disk(running.id).unlink()
    agent.network.plugged.clear()
    agent.network.active.clear()
    agent.driver.domains.clear()
    assert agent.manager.reboot_server(attempt_of("r"), running.to_wire(), True, None) == {"power_state": "running"}
    assert agent.layout.disk(running.id).exists() and agent.network.active == {running.ports[0].id}


def test_a_server_whose_directory_is_gone_is_not_started_empty(agent: Agent, running: ServerSpec) -> None:
    agent.manager.stop_server(attempt_of("stop"), running.to_wire(), 0)
    shutil.rmtree(agent.layout.server(running.id))
    with pytest.raises(errors.AgentError, match="not on its host"):
        agent.manager.start_server(attempt_of("start"), running.to_wire())


@pytest.mark.contract("N-PAUSE", "N-SUSPEND")
def test_pause_and_suspend(agent: Agent, running: ServerSpec) -> None:
    manager = agent.manager
    for attempt in (1, 2):
        assert manager.pause_server(attempt_of("p", attempt), running.to_wire())["power_state"] == "paused"
    assert manager.unpause_server(attempt_of("u"), running.to_wire())["power_state"] == "running"
    assert manager.suspend_server(attempt_of("s"), running.to_wire())["power_state"] == "suspended"
    agent.network.plugged.clear()
    assert manager.resume_server(attempt_of("m"), running.to_wire())["power_state"] == "running"
    assert list(agent.network.plugged) == [running.ports[0].id]


def test_stopping_what_was_never_here_succeeds(agent: Agent, server: ServerSpec) -> None:
    assert agent.manager.stop_server(attempt_of("stop"), server.to_wire(), None) == {"power_state": "shutdown"}
    assert agent.leftovers() == []
