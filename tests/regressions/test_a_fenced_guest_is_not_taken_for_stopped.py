"""A guest that a fence switched off while an operation worked on it counted as stopped, although nobody stopped it.

A live migration that ended for the fence's sake wrote "stopped", and an evacuation then made the server switched off.
A reconciliation that found an operation at work let go of the fence's memory, and the next one took the guest for
stopped. A pause or suspend in that moment put the server in error.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from compute import watchdog
from compute.virt import driver as virt
from hostler import errors, ids
from hostler.resources.server.specs import AttachedSpec, ConnectionSpec, ServerSpec
from tests.harness.compute_agents import Agent, make_agent, make_server
from tests.harness.contexts import attempt_of
from tests.harness.ports import wait_for


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    return make_agent(tmp_path / "host1")


def running(agent: Agent) -> ServerSpec:
    """Return a server on the host that runs and has a volume."""
    volume = AttachedSpec(attachment_id=ids.new_id(), volume_id=ids.new_id(), size_gib=1, device="vdb",
                          connection=ConnectionSpec(protocol="fake", data={"path": "/nowhere"}))
    server = make_server(volumes=(volume,))
    agent.spawn(server)
    return server


def fence(agent: Agent) -> None:
    for generation in (1, 2):
        agent.self_fence.heard(watchdog.clock(), {"accepted": True, "fence_generation": generation})


def reconcile(agent: Agent, server: ServerSpec, action: str, *, held: bool) -> str:
    """Reconcile once; returns the power state that the host reported."""
    agent.conductor.verdicts = {server.id: {"action": action, "server": None, "held": held}}
    agent.reconciler.run()
    [entry] = agent.conductor.present
    return str(entry["power_state"])


def test_a_live_migration_that_the_fence_ended_says_nothing_of_power(agent: Agent, tmp_path: Path) -> None:
    target = make_agent(tmp_path / "host2", host="host2")
    server = running(agent)
    agent.driver.migration_s = 60
    origin = agent.manager.describe_migration(attempt_of("move"), server.to_wire())
    landing = target.manager.prepare_migration(attempt_of("move"), server.to_wire(), origin, None)
    agent.manager.send_server(attempt_of("move"), server.id, landing)
    wait_for(lambda: agent.driver.get_migration(server.id), "the sending", 30)
    fence(agent)
    status = agent.manager.watch_migration(attempt_of("move"), server.id, 30)
    assert (status["state"], status["power_state"]) == ("failed", virt.NOSTATE)


def test_what_an_operation_held_when_the_host_reconciled_is_started_later(agent: Agent) -> None:
    server = running(agent)
    fence(agent)
    assert reconcile(agent, server, "leave", held=True) == virt.NOSTATE
    assert reconcile(agent, server, "start", held=False) == virt.NOSTATE
    assert agent.driver.get_power_state(server.id) == virt.RUNNING
    agent.driver.power_off(server.id)
    assert reconcile(agent, server, "keep", held=False) == virt.SHUTDOWN


def test_it_is_remembered_by_an_agent_that_was_restarted(agent: Agent, tmp_path: Path) -> None:
    server = running(agent)
    fence(agent)
    reconcile(agent, server, "leave", held=True)
    again = make_agent(tmp_path / "host1")
    assert again.self_fence.switched_off(server.id)
    assert not again.self_fence.is_suspect(server.id)


@pytest.mark.parametrize(("verb", "state"), [("pause", virt.PAUSED), ("suspend", virt.SUSPENDED)])
def test_a_change_of_a_running_guest_waits_and_runs_it_first(agent: Agent, verb: str, state: str) -> None:
    server = running(agent)
    fence(agent)
    with pytest.raises(errors.Silent):
        getattr(agent.manager, f"{verb}_server")(attempt_of(verb), server.to_wire())
    reconcile(agent, server, "leave", held=True)
    answer = getattr(agent.manager, f"{verb}_server")(attempt_of(verb, 2), server.to_wire())
    assert (answer["power_state"], agent.driver.get_power_state(server.id)) == (state, state)
