"""Messages that overtook each other left the older one in force on the host.

A conductor that slept with a spec in its hands opened a deleted rule's port again. Without any fault, what changed
while a server was being built (a rule, its name, its metadata) was lost on the host until it reconciled.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from hostler.context import RequestContext
from hostler.resources.server.specs import RuleSpec, ServerSpec
from tests.harness.compute_agents import Agent, make_agent, make_server
from tests.harness.contexts import attempt_of

CTX = RequestContext.system()
RULE = RuleSpec(direction="ingress", ethertype="IPv4", protocol="tcp", port_min=22, port_max=22)


def at(server: ServerSpec, revision: int, *rules: RuleSpec, **values: Any) -> ServerSpec:
    """Return the server, and its port, as of a revision."""
    ports = tuple(dataclasses.replace(port, rules=rules, revision=revision) for port in server.ports)
    return dataclasses.replace(server, ports=ports, revision=revision, **values)


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    """An agent on a fake hypervisor."""
    return make_agent(tmp_path)


OPEN = at(make_server(), 1, RULE)  # the rule is there
CLOSED = at(OPEN, 2, name="renamed", metadata={"k": "v"})  # the rule is gone, and the server renamed


def check_closed(agent: Agent) -> None:
    """The newer spec is in force, and survives a restart of the agent."""
    [port] = CLOSED.ports
    assert agent.network.plugged[port.id].rules == ()
    assert agent.network.servers[CLOSED.id].name == "renamed"
    kept = agent.specs.require(CLOSED.id)
    assert (kept.ports, kept.name, kept.metadata) == (CLOSED.ports, "renamed", {"k": "v"})


def update(agent: Agent, server: ServerSpec) -> None:
    agent.manager.apply_port_rules(CTX, [port.to_wire() for port in server.ports])
    agent.manager.update_server(CTX, server.to_wire())


LATE = {
    "rules and name": lambda agent: update(agent, OPEN),
    "network": lambda agent: agent.manager.update_network(
        CTX, OPEN.ports[0].network.to_wire(), [port.to_wire() for port in OPEN.ports]),
    "boot": lambda agent: agent.manager.spawn_server(attempt_of("boot", 2), OPEN.to_wire()),
    "start": lambda agent: agent.manager.start_server(attempt_of("start"), OPEN.to_wire()),
    "reboot": lambda agent: agent.manager.reboot_server(attempt_of("reboot"), OPEN.to_wire(), True, None),
    "pause": lambda agent: agent.manager.pause_server(attempt_of("pause"), OPEN.to_wire()),
    "stop": lambda agent: agent.manager.stop_server(attempt_of("stop"), OPEN.to_wire(), 0),
}


@pytest.mark.parametrize("late", LATE)
def test_an_older_message_does_not_undo_a_newer_one(agent: Agent, late: str) -> None:
    agent.manager.spawn_server(attempt_of("boot"), OPEN.to_wire())
    update(agent, CLOSED)
    LATE[late](agent)
    check_closed(agent)


def test_an_older_answer_to_a_reconciliation_does_not_undo_a_newer_message(agent: Agent) -> None:
    agent.manager.spawn_server(attempt_of("boot"), OPEN.to_wire())
    agent.conductor.verdicts = {OPEN.id: {"action": "keep", "server": OPEN.to_wire()}}
    agent.conductor.before_answer = lambda: update(agent, CLOSED)  # while a conductor sleeps with the answer
    agent.reconciler.run()
    check_closed(agent)


def test_a_newer_answer_to_a_reconciliation_brings_what_was_missed(agent: Agent) -> None:
    agent.manager.spawn_server(attempt_of("boot"), OPEN.to_wire())
    agent.conductor.verdicts = {OPEN.id: {"action": "keep", "server": CLOSED.to_wire()}}
    agent.reconciler.run()
    check_closed(agent)


@pytest.mark.parametrize("step", ["spawn.ports", "spawn.image", "spawn.start", "spawn.activate", "spawn.end"])
def test_what_changes_while_the_server_is_built_reaches_it(agent: Agent, step: str,
                                                           monkeypatch: pytest.MonkeyPatch) -> None:
    reach = agent.faults.reach

    def change(reached: str, *arguments: Any) -> None:
        reach(reached, *arguments)
        if reached == step:
            update(agent, CLOSED)

    monkeypatch.setattr(agent.faults, "reach", change)
    object.__setattr__(agent.tools, "checkpoint", change)
    agent.manager.spawn_server(attempt_of("boot"), OPEN.to_wire())
    check_closed(agent)


def test_older_members_of_a_group_do_not_come_back(agent: Agent) -> None:
    def members(revision: int, *addresses: str) -> dict[str, Any]:
        return {"g": {"revision": revision, "members": list(addresses)}}

    agent.manager.update_groups(CTX, members(2, "10.0.0.2/32"))
    agent.manager.update_groups(CTX, members(1, "10.0.0.1/32"))
    agent.manager.spawn_server(attempt_of("boot"), OPEN.to_wire(), members(1, "10.0.0.1/32"))
    agent.conductor.groups = members(1, "10.0.0.1/32")
    agent.reconciler.run()
    assert agent.network.groups == {"g": ["10.0.0.2/32"]}
