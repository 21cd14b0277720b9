"""Live migration between two agents on fake hosts: prepared, sent, aborted, repeated, interrupted, shared."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from compute import watchdog
from compute.virt import driver as virt
from hostler import errors, ids
from hostler.agent.faults import Order
from hostler.resources.server.specs import AttachedSpec, ConnectionSpec, ServerSpec
from tests.harness.compute_agents import Agent, make_agent, make_server
from tests.harness.contexts import attempt_of
from tests.harness.ports import wait_for


@pytest.fixture
def target(tmp_path: Path) -> Agent:
    return make_agent(tmp_path / "target", host="host2")


@pytest.fixture
def running(agent: Agent, server: ServerSpec) -> ServerSpec:
    agent.spawn(server)
    return server


def prepare(source: Agent, target: Agent, server: ServerSpec, attempt: int = 1, copying: bool | None = None
            ) -> dict[str, Any]:
    context = attempt_of("move", attempt)
    origin = source.manager.describe_migration(context, server.to_wire())
    return dict(target.manager.prepare_migration(context, server.to_wire(), origin, copying))


def send(source: Agent, server: ServerSpec, landing: dict[str, Any], attempt: int = 1) -> str:
    source.manager.send_server(attempt_of("move", attempt), server.id, landing)
    return str(source.manager.watch_migration(attempt_of("move", attempt), server.id, 5)["state"])


def test_a_guest_goes_from_one_agent_to_the_other(agent: Agent, target: Agent, running: ServerSpec) -> None:
    landing = prepare(agent, target, running)
    assert target.driver.get_power_state(running.id) == virt.NOSTATE
    assert set(target.network.plugged) == {port.id for port in running.ports}
    assert send(agent, running, landing) == "moved"
    context = attempt_of("move")
    assert target.manager.arrive_server(context, running.to_wire()) == {"power_state": virt.RUNNING}
    assert target.network.active == {port.id for port in running.ports}
    agent.destroy(running, "move")
    assert agent.leftovers() == []
    assert target.driver.list_servers() == {running.id: virt.RUNNING}
    for host in (agent, target):
        host.relay.flush()
        assert host.conductor.events == [], "the calls have said it"


def test_every_call_may_be_repeated(agent: Agent, target: Agent, running: ServerSpec) -> None:
    for attempt in (1, 2):
        landing = prepare(agent, target, running, attempt)
    for attempt in (3, 4):
        assert send(agent, running, landing, attempt) == "moved"
    for attempt in (5, 6):
        assert target.manager.arrive_server(attempt_of("move", attempt), running.to_wire()) == {
            "power_state": virt.RUNNING}
    with pytest.raises(errors.StaleAttempt):
        send(agent, running, landing, 2)


def test_the_ports_of_a_guest_that_has_left_go_while_its_target_takes_it_over(agent: Agent, target: Agent,
                                                                             running: ServerSpec) -> None:
    landing = prepare(agent, target, running)
    assert send(agent, running, landing) == "moved"
    wait_for(lambda: not agent.network.plugged, "the ports are gone", 10)
    assert agent.leftovers() != []  # its files are what disks are compared with


def test_ports_that_do_not_go_then_go_with_the_rest(agent: Agent, target: Agent, running: ServerSpec) -> None:
    landing = prepare(agent, target, running)
    agent.faults.order(Order(step="network.unplug", action="fail", reason="busy"))
    assert send(agent, running, landing) == "moved"
    target.manager.arrive_server(attempt_of("move"), running.to_wire())
    agent.destroy(running, "move")
    assert agent.leftovers() == []


def test_an_abort_leaves_the_guest_where_it_is(agent: Agent, target: Agent, running: ServerSpec) -> None:
    agent.driver.migration_s = 60
    landing = prepare(agent, target, running)
    context = attempt_of("move")
    agent.manager.send_server(context, running.id, landing)
    wait_for(lambda: agent.driver.get_migration(running.id), "the sending", 5)
    status = agent.manager.watch_migration(context, running.id, 0.0)
    assert status["state"] == "running"
    assert status["progress"]["memory_remaining_bytes"] > 0
    agent.manager.steer_migration(context, running.id, "abort")
    assert agent.manager.watch_migration(context, running.id, 5)["state"] == "aborted"
    assert agent.driver.list_servers() == {running.id: virt.RUNNING}
    target.destroy(running, "move")
    assert target.leftovers() == []


def test_a_refusal_says_why(agent: Agent, target: Agent, running: ServerSpec) -> None:
    landing = prepare(agent, target, running)
    agent.faults.order(Order(step="driver.send:before", action="fail", reason="no route"))
    agent.manager.send_server(attempt_of("move"), running.id, landing)
    status = agent.manager.watch_migration(attempt_of("move"), running.id, 5)
    assert (status["state"], status["reason"]) == ("failed", "no route")
    assert agent.driver.get_power_state(running.id) == virt.RUNNING


def test_an_agent_that_was_restarted_finds_out_where_the_guest_is(agent: Agent, target: Agent, running: ServerSpec,
                                                                  tmp_path: Path) -> None:
    landing = prepare(agent, target, running)
    again = make_agent(tmp_path)
    again.driver.open()
    assert again.manager.watch_migration(attempt_of("move", 2), running.id, 0.0)["state"] == "idle"
    assert send(again, running, landing, 2) == "moved"
    last = make_agent(tmp_path)
    last.driver.open()
    assert last.manager.watch_migration(attempt_of("move", 3), running.id, 0.0)["state"] == "moved"


def test_what_an_earlier_stay_left_is_made_anew(agent: Agent, target: Agent, running: ServerSpec) -> None:
    target.layout.prepare_server(running.id)
    target.layout.disk(running.id).write_text("old")
    prepare(agent, target, running)
    assert target.layout.disk(running.id).read_text() == ""


def test_disks_that_both_hosts_have_are_left_alone(agent: Agent, target: Agent, running: ServerSpec) -> None:
    context = attempt_of("move")
    origin = agent.manager.describe_migration(context, running.to_wire())
    shutil.copytree(agent.layout.server(running.id), target.layout.server(running.id))
    target.layout.disk(running.id).write_text("the guest's")
    with pytest.raises(errors.AgentError, match="share"):
        target.manager.prepare_migration(context, running.to_wire(), origin, None)
    assert target.layout.disk(running.id).read_text() == "the guest's"
    assert target.layout.owner(running.id).read_text() == "host1"  # so that the target's clean-up spares them


def test_a_target_that_was_fenced_takes_no_guest_until_it_knows_whose_it_is(agent: Agent, target: Agent) -> None:
    volume = AttachedSpec(attachment_id=ids.new_id(), volume_id=ids.new_id(), size_gib=1, device="vdb",
                          connection=ConnectionSpec(protocol="fake", data={"path": "/nowhere"}))
    server = make_server(volumes=(volume,))
    agent.spawn(server)
    landing = prepare(agent, target, server)
    for generation in (1, 2):
        target.self_fence.heard(watchdog.clock(), {"accepted": True, "fence_generation": generation})
    with pytest.raises(errors.Silent):
        prepare(agent, target, server, 2)
    assert send(agent, server, landing, 3) == "moved", "it was on its way"
    with pytest.raises(errors.Silent):
        target.manager.arrive_server(attempt_of("move", 4), server.to_wire())
    target.self_fence.clear(server.id)
    assert target.manager.arrive_server(attempt_of("move", 5), server.to_wire()) == {"power_state": virt.RUNNING}


def test_a_call_before_the_guest_is_there_does_not_forget_that_it_is_to_run(agent: Agent, target: Agent,
                                                                            running: ServerSpec) -> None:
    landing = prepare(agent, target, running)
    mark = target.layout.unverified_mark(running.id)
    mark.write_text(virt.RUNNING)
    with pytest.raises(errors.AgentError, match="did not arrive"):
        target.manager.arrive_server(attempt_of("move", 2), running.to_wire())
    assert send(agent, running, landing, 3) == "moved"
    target.driver.pause(running.id)  # as a guest arrives whose disks are compared
    arrived = target.manager.arrive_server(attempt_of("move", 4), running.to_wire())
    assert (arrived, mark.exists()) == ({"power_state": virt.RUNNING}, False)


def test_a_guest_that_went_off_on_its_way_stays_at_its_source(agent: Agent, target: Agent, running: ServerSpec) -> None:
    agent.driver.migration_s = 60
    landing = prepare(agent, target, running)
    context = attempt_of("move")
    agent.manager.send_server(context, running.id, landing)
    wait_for(lambda: agent.driver.get_migration(running.id), "the sending", 30)
    agent.driver.happen(running.id, "crashed")
    status = agent.manager.watch_migration(context, running.id, 30)
    assert (status["state"], status["reason"]) == ("failed", "The guest went off on its way.")
    assert (agent.driver.get_power_state(running.id), target.driver.list_servers()) == (virt.CRASHED, {})


def test_only_a_guest_that_runs_is_described(agent: Agent, running: ServerSpec) -> None:
    agent.driver.power_off(running.id)
    with pytest.raises(errors.AgentError):
        agent.manager.describe_migration(attempt_of("move"), running.to_wire())
