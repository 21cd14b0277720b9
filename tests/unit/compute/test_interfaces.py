"""NICs of servers on the fake host: attach, detach, starts, late messages, reconciliation."""

from __future__ import annotations

import dataclasses

import pytest

from compute import unplug
from hostler import errors, ids
from hostler.agent.faults import Order
from hostler.resources.server.specs import PortSpec, ServerSpec
from tests.harness.compute_agents import CTX, Agent
from tests.harness.contexts import attempt_of


def port_of(server: ServerSpec, revision: int = 0) -> PortSpec:
    return dataclasses.replace(server.ports[0], id=ids.new_id(), mac_address="fa:16:3e:00:00:02", revision=revision)


@pytest.fixture
def running(agent: Agent, server: ServerSpec) -> ServerSpec:
    agent.spawn(server)
    return server


def attach(agent: Agent, server: ServerSpec, port: PortSpec, attempt: int = 1) -> None:
    agent.manager.attach_interface(attempt_of("attach", attempt), server.id, port.to_wire())


def detach(agent: Agent, server: ServerSpec, port: PortSpec, attempt: int = 1, timeout_s: int = 1) -> None:
    agent.manager.detach_interface(attempt_of("detach", attempt), server.id, port.to_wire(), timeout_s)


def has(agent: Agent, server: ServerSpec) -> set[str]:
    """Return the ports of a server, on which guest, spec and network agree."""
    found = set(agent.driver.domains[server.id].nics)
    assert found == {port.id for port in agent.specs.ports_of(server.id)} == set(agent.network.plugged)
    return found


def test_attach_and_detach_may_be_repeated(agent: Agent, running: ServerSpec) -> None:
    port = port_of(running)
    for attempt in (1, 2):
        attach(agent, running, port, attempt)
        assert has(agent, running) == {running.ports[0].id, port.id} == agent.network.active
    for attempt in (1, 2):
        detach(agent, running, port, attempt)
        assert has(agent, running) == {running.ports[0].id}


@pytest.mark.parametrize("step", ["attach_nic.spec", "network.plug:after", "attach_nic.plug",
                                  "driver.attach_interface:after", "attach_nic.end"])
def test_an_attach_that_broke_off_is_finished_and_undone(agent: Agent, running: ServerSpec, step: str) -> None:
    for number, finish in enumerate((attach, detach)):
        port = port_of(running)
        agent.faults.order(Order(step=step, action="fail"))
        with pytest.raises(errors.AgentError):
            attach(agent, running, port, attempt=number * 2 + 1)
        finish(agent, running, port, attempt=number * 2 + 2)
        assert has(agent, running) == {running.ports[0].id, *([port.id] if finish is attach else [])}
        detach(agent, running, port, attempt=number * 2 + 3)


def test_a_suspended_server_changes_nothing(agent: Agent, running: ServerSpec) -> None:
    agent.manager.suspend_server(attempt_of("suspend", 1), running.to_wire())
    for change in (attach, detach):
        with pytest.raises(errors.AgentError, match="suspended"):
            change(agent, running, port_of(running))


def test_a_guest_that_holds_on_keeps_everything(agent: Agent, running: ServerSpec,
                                                monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unplug, "ASK_AGAIN_S", 0.1)
    agent.faults.order(Order(step="driver.detach_interface:guest", action="fail", times=99))
    with pytest.raises(errors.AgentError, match="did not let go"):
        detach(agent, running, running.ports[0])
    assert has(agent, running) == {running.ports[0].id}


def test_a_message_from_before_takes_no_nic_away(agent: Agent, running: ServerSpec) -> None:
    port = port_of(running)
    attach(agent, running, port)
    agent.manager.update_server(CTX, dataclasses.replace(running, name="new", revision=9).to_wire())
    assert has(agent, running) == {running.ports[0].id, port.id}


def test_reconciliation_brings_nics_and_takes_them(agent: Agent, running: ServerSpec) -> None:
    port = port_of(running)
    for ports in ((running.ports[0], port), (running.ports[0],)):
        wanted = dataclasses.replace(running, ports=ports)
        agent.conductor.verdicts = {running.id: {"action": "keep", "server": wanted.to_wire()}}
        agent.reconciler.run()
        assert has(agent, running) == {port.id for port in ports}


def test_networks_are_made_again(agent: Agent, running: ServerSpec) -> None:
    agent.network.plugged.clear()
    agent.network.active.clear()
    agent.manager.reset_network(attempt_of("reset", 1), running.to_wire())
    assert has(agent, running) == {running.ports[0].id} == agent.network.active
