"""Reconciliation on the fake host."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from compute.virt import driver as virt
from hostler import errors
from hostler.agent.faults import Order
from hostler.resources.server.specs import ServerSpec
from tests.harness.compute_agents import CTX, Agent, make_agent, make_server
from tests.harness.contexts import attempt_of


def test_a_restarted_agent_restores_networks_without_asking_anybody(tmp_path: Path, server: ServerSpec) -> None:
    make_agent(tmp_path).spawn(server)
    again = make_agent(tmp_path)
    again.conductor.silent = OSError()
    again.reconciler.restore()
    assert again.network.active == {server.ports[0].id}
    assert again.driver.list_servers() == {server.id: virt.RUNNING}
    with pytest.raises(errors.Silent):
        again.reconciler.run()


def test_everything_present_is_told_also_half_made_servers(agent: Agent, server: ServerSpec) -> None:
    agent.spawn(server)
    half = make_server()
    agent.specs.save(half)
    agent.reconciler.run()
    assert {entry["server_id"]: entry["power_state"] for entry in agent.conductor.present} == {
        server.id: "running", half.id: "nostate"}


def test_destroy_start_keep(agent: Agent) -> None:
    gone, there, up, half = (make_server() for _ in range(4))
    for each in (gone, there, up):
        agent.spawn(each, f"boot {each.id}")
    agent.specs.save(half)
    agent.driver.happen(up.id, "stopped")
    agent.conductor.verdicts = {
        gone.id: {"action": "destroy", "server": None}, half.id: {"action": "destroy", "server": None},
        there.id: {"action": "keep", "server": there.to_wire()}, up.id: {"action": "start", "server": up.to_wire()}}
    agent.reconciler.run()
    assert agent.driver.list_servers() == {there.id: virt.RUNNING, up.id: virt.RUNNING}
    assert agent.specs.ids() == sorted([there.id, up.id])


def test_leave_and_what_changed_since_the_look_are_left(agent: Agent, server: ServerSpec) -> None:
    agent.spawn(server)
    agent.conductor.verdicts = {server.id: {"action": "leave", "server": None}}
    agent.reconciler.run()
    agent.conductor.verdicts = {server.id: {"action": "destroy", "server": None}}
    agent.conductor.before_answer = lambda: agent.manager.pause_server(attempt_of("p"), server.to_wire())
    agent.reconciler.run()
    assert agent.driver.get_power_state(server.id) == virt.PAUSED
    agent.conductor.before_answer = lambda: None
    agent.reconciler.run()
    assert agent.leftovers() == []


def test_keep_with_a_newer_spec_takes_it_over(agent: Agent, server: ServerSpec) -> None:
    agent.spawn(server)
    renamed = dataclasses.replace(server, name="new")
    agent.conductor.verdicts = {server.id: {"action": "keep", "server": renamed.to_wire()}}
    agent.reconciler.run()
    assert agent.specs.load(server.id) == renamed and agent.network.servers[server.id].name == "new"


def test_a_new_image_url_is_no_change(agent: Agent, server: ServerSpec) -> None:
    agent.spawn(server)
    assert server.image is not None
    signed = dataclasses.replace(server, image=dataclasses.replace(server.image, url="http://store/i?sig=2"))
    agent.conductor.verdicts = {server.id: {"action": "keep", "server": signed.to_wire()}}
    agent.faults.passed.clear()
    agent.reconciler.run()
    assert "network.plug:before" not in agent.faults.passed


def test_one_server_that_cannot_be_mended_does_not_hold_up_the_others(agent: Agent) -> None:
    bad, good = sorted((make_server(), make_server()), key=lambda each: each.id)
    for each in (bad, good):
        agent.spawn(each, f"boot {each.id}")
    agent.conductor.verdicts = {bad.id: {"action": "destroy", "server": None},
                                good.id: {"action": "destroy", "server": None}}
    agent.driver.domains[bad.id].host = "other"
    agent.specs.remove(bad.id)
    agent.specs.save(bad)
    agent.reconciler.run()
    assert good.id not in agent.driver.domains and bad.id in agent.driver.domains


def _group(revision: int, *members: str) -> dict[str, Any]:
    return {"revision": revision, "members": list(members)}


def test_members_of_groups_follow_but_never_back(agent: Agent, server: ServerSpec) -> None:
    agent.spawn(server)
    agent.manager.update_groups(CTX, {"a": _group(1, "10.0.0.1/32"), "b": _group(1, "10.0.0.1/32")})
    agent.conductor.groups = {"a": _group(2, "10.0.0.2/32"), "b": _group(2, "10.0.0.2/32")}
    agent.conductor.before_answer = lambda: agent.manager.update_groups(CTX, {"b": _group(3, "10.0.0.3/32")})
    agent.reconciler.run()
    assert agent.network.groups == {"a": ["10.0.0.2/32"], "b": ["10.0.0.3/32"]}, "b was told of since it was asked for"
    agent.conductor.before_answer = lambda: None
    agent.conductor.groups = {"a": _group(2, "10.0.0.2/32"), "b": _group(4, "10.0.0.2/32")}
    agent.reconciler.run()
    assert agent.network.groups == {"a": ["10.0.0.2/32"], "b": ["10.0.0.2/32"]}


def test_what_was_agreed_is_not_asked_for_again(agent: Agent, server: ServerSpec) -> None:
    agent.spawn(server)
    agent.conductor.verdicts = {server.id: {"action": "keep", "server": server.to_wire(), "fingerprint": "f1"}}
    agent.conductor.groups = {"a": _group(2, "10.0.0.2/32")}
    agent.reconciler.run()
    assert (agent.conductor.present[0]["fingerprint"], agent.conductor.known_groups) == (None, {})
    agent.conductor.verdicts = {server.id: {"action": "keep", "server": None, "fingerprint": "f1"}}
    agent.conductor.groups = {}
    agent.reconciler.run()
    agent.reconciler.run()
    assert (agent.conductor.present[0]["fingerprint"], agent.conductor.known_groups) == ("f1", {"a": 2})
    assert agent.network.groups == {"a": ["10.0.0.2/32"]}


def test_a_kept_spec_that_changed_is_not_agreed_any_more(agent: Agent, server: ServerSpec) -> None:
    agent.spawn(server)
    agent.conductor.verdicts = {server.id: {"action": "keep", "server": server.to_wire(), "fingerprint": "f1"}}
    agent.reconciler.run()
    agent.specs.update(server.id, lambda kept: dataclasses.replace(kept, name="changed"))
    agent.reconciler.run()
    assert agent.conductor.present[0]["fingerprint"] is None
    assert agent.specs.load(server.id) == server, "what the records say holds again"


def test_members_that_could_not_be_applied_stay_unknown(agent: Agent, server: ServerSpec) -> None:
    agent.spawn(server)
    agent.conductor.groups = {"a": _group(2, "10.0.0.2/32")}
    agent.faults.order(Order(step="network.update_groups", action="fail"))
    agent.reconciler.run()
    agent.reconciler.run()
    assert agent.conductor.known_groups == {}
    assert agent.network.groups == {"a": ["10.0.0.2/32"]}
