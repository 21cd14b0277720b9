"""Small parts: fence, locks, console log, kept specs, guest data."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from compute import console
from compute.layout import Layout
from hostler import errors
from hostler.agent.fencing import Fence
from hostler.agent.locks import ResourceLocks
from hostler.resources.server.specs import RuleSpec, ServerSpec
from tests.harness.compute_agents import CTX, Agent
from tests.harness.contexts import attempt_of


def test_fence_is_bounded_and_outlives_the_process(tmp_path: Path) -> None:
    journal = tmp_path / "attempts.log"
    fence = Fence(journal, keep=10)
    for number in range(50):
        fence.admit(attempt_of(f"op{number}", 2))
    assert len(journal.read_text().splitlines()) <= 30
    with journal.open("a") as stream:
        stream.write("cut sho")
    again = Fence(journal, keep=10)
    with pytest.raises(errors.StaleAttempt):
        again.admit(attempt_of("op49", 1))
    again.admit(attempt_of("op0", 1))  # long forgotten
    again.admit(attempt_of("op49", 2))
    again.admit(attempt_of("op49", 3))
    with pytest.raises(errors.StaleAttempt):
        fence_three = Fence(journal, keep=10)
        fence_three.check(attempt_of("op49", 2))


def test_locks_remember_changes_until_told_to_forget() -> None:
    locks = ResourceLocks()
    mark = locks.mark()
    assert not locks.changed_since("a", mark)
    with locks.hold("a"):
        assert locks.changed_since("a", locks.mark()), "in work"
    assert locks.changed_since("a", mark) and not locks.changed_since("b", mark)
    assert not locks.changed_since("a", locks.mark())
    locks.forget_before(locks.mark())
    assert not locks.changed_since("a", mark)


@pytest.mark.contract("N-CONSOLELOG")
def test_console_tail(tmp_path: Path) -> None:
    log = tmp_path / "console.log"
    assert console.read_tail(log) == ""
    log.write_bytes(b"one\r\ntwo\r\nthree\xff\n")
    assert console.read_tail(log, 3) == "two\nthree\ufffd\n"
    assert console.read_tail(log, 0) == "" and console.read_tail(log, 99) == console.read_tail(log)
    log.write_text("a\nb")
    assert console.read_tail(log, 1) == "b"


@pytest.mark.contract("N-CONSOLELOG")
def test_console_log_is_cut_while_the_guest_goes_on_writing(tmp_path: Path) -> None:
    log = tmp_path / "console.log"
    with log.open("a") as guest:
        for number in range(400):
            guest.write(f"line {number}\n")
            guest.flush()
            console.cut(log, 1000)
    assert log.stat().st_size + console.older(log).stat().st_size <= 1100
    tail = console.read_tail(log, 21).splitlines()
    assert tail == [f"line {number}" for number in range(380, 400)]


def test_a_directory_without_a_readable_spec_is_still_a_server(agent: Agent, server: ServerSpec) -> None:
    agent.spawn(server)
    agent.layout.spec(server.id).write_text("{")
    assert agent.specs.load(server.id) is None and agent.specs.ids() == [server.id]
    agent.destroy(server)
    assert agent.leftovers() == []


def test_guest_data_reaches_network_and_kept_spec(agent: Agent, server: ServerSpec) -> None:
    agent.spawn(server)
    agent.manager.update_server(CTX, dataclasses.replace(server, name="new").to_wire())
    rule = RuleSpec(direction="ingress", ethertype="IPv4", protocol="tcp", port_min=22, port_max=22)
    port = dataclasses.replace(server.ports[0], rules=(rule,))
    agent.manager.apply_port_rules(CTX, [port.to_wire()])
    network = dataclasses.replace(port.network, mtu=1400)
    agent.manager.update_network(CTX, network.to_wire(), [port.to_wire()])
    kept = agent.specs.require(server.id)
    assert kept.name == "new" and kept.ports[0].rules == (rule,) and kept.ports[0].network.mtu == 1400
    assert agent.network.servers[server.id].name == "new"
    assert agent.network.plugged[port.id].rules == (rule,)


def test_what_travels_is_plain_and_comes_back_equal(server: ServerSpec) -> None:
    rule = RuleSpec(direction="ingress", ethertype="IPv4", remote_is_group=True, remote_group_id="g")
    pairs = ({"ip_address": "10.0.0.9"},)
    full = dataclasses.replace(server, metadata={"a": "b"}, ports=tuple(
        dataclasses.replace(port, rules=(rule,), allowed_pairs=pairs) for port in server.ports))
    wire = full.to_wire()
    assert json.loads(json.dumps(wire)) == wire, "no tuples, no objects"
    assert ServerSpec.from_wire(wire) == full
    wire["metadata"]["a"] = wire["ports"][0]["allowed_pairs"][0]["ip_address"] = "changed"
    assert full.metadata == {"a": "b"} and pairs[0]["ip_address"] == "10.0.0.9"


def _group(revision: int) -> dict[str, Any]:
    return {"g": {"revision": revision, "members": [str(revision)]}}


def test_groups_are_known_before_the_ports_that_need_them(agent: Agent, server: ServerSpec) -> None:
    wire, port = server.to_wire(), server.ports[0].to_wire()
    calls = [lambda: agent.manager.spawn_server(attempt_of("boot"), wire, _group(1)),
             lambda: agent.manager.start_server(attempt_of("start"), wire, _group(2)),
             lambda: agent.manager.reboot_server(attempt_of("reboot"), wire, True, None, _group(3)),
             lambda: agent.manager.update_server(CTX, wire, _group(4)),
             lambda: agent.manager.apply_port_rules(CTX, [port], _group(5)),
             lambda: agent.manager.update_network(CTX, port["network"], [port], _group(6)),
             lambda: agent.manager.update_groups(CTX, _group(7))]
    for number, call in enumerate(calls, 1):
        call()
        assert agent.network.groups == {"g": [str(number)]}
        steps = [step for step in agent.faults.passed if step.startswith("network.")]
        agent.faults.passed.clear()
        assert steps[0] == "network.update_groups"


def test_guest_data_of_a_server_elsewhere_leaves_no_trace(agent: Agent, server: ServerSpec) -> None:
    agent.manager.update_server(CTX, server.to_wire())
    agent.manager.apply_port_rules(CTX, [server.ports[0].to_wire()])
    assert agent.leftovers() == []
    with pytest.raises(errors.NotFound):
        agent.manager.get_console_output(CTX, server.id, None)


def test_paths(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    assert layout.console_log("x") == tmp_path / "compute/servers/x/console.log"
