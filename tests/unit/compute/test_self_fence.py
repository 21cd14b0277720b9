"""Which guests may run and start, after what the watchdog did and what the conductors say."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from compute import self_fence, watchdog
from compute.self_fence import SelfFence
from compute.virt import driver as virt
from hostler import errors, ids
from hostler.resources.server.specs import AttachedSpec, ConnectionSpec, ServerSpec
from tests.harness.compute_agents import Agent, make_agent, make_server
from tests.harness.contexts import attempt_of


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    return make_agent(tmp_path)


def _with_volume() -> ServerSpec:
    volume = AttachedSpec(attachment_id=ids.new_id(), volume_id=ids.new_id(), size_gib=1, device="vdb",
                          connection=ConnectionSpec(protocol="fake", data={"path": "/nowhere"}))
    return make_server(volumes=(volume,))


def _answer(generation: int, **more: Any) -> dict[str, Any]:
    return {"accepted": True, "fence_generation": generation, **more}


def _hear(agent: Agent, generation: int) -> bool:
    return agent.self_fence.heard(watchdog.clock(), _answer(generation))


def test_a_guest_is_guarded_while_it_has_a_volume(agent: Agent) -> None:
    guarded = agent.layout.root / watchdog.GUARDED
    server, local = _with_volume(), make_server()
    agent.spawn(server)
    agent.spawn(local, "other")
    assert {path.name for path in guarded.iterdir()} == {server.id}
    agent.specs.update(server.id, lambda kept: dataclasses.replace(kept, volumes=()))
    assert list(guarded.iterdir()) == []
    agent.specs.update(server.id, lambda kept: dataclasses.replace(kept, volumes=server.volumes))
    agent.destroy(server)
    assert list(guarded.iterdir()) == []


def test_a_host_that_was_fenced_stops_its_guests_with_shared_disks(agent: Agent) -> None:
    server, local = _with_volume(), make_server()
    agent.spawn(server)
    agent.spawn(local, "other")
    assert _hear(agent, 3) is False, "the first generation heard is the present one"
    agent.relay.flush()
    agent.conductor.events.clear()
    assert _hear(agent, 4) is True
    assert agent.driver.get_power_state(server.id) == virt.SHUTDOWN
    assert agent.driver.get_power_state(local.id) == virt.RUNNING
    agent.relay.flush()
    assert agent.conductor.events == [], "the records are not to follow"


def test_a_late_call_starts_no_suspect(agent: Agent) -> None:
    server = _with_volume()
    agent.spawn(server)
    _hear(agent, 1)
    _hear(agent, 2)
    for call in (lambda: agent.manager.start_server(attempt_of("late", 1), server.to_wire()),
                 lambda: agent.manager.reboot_server(attempt_of("late", 1), server.to_wire(), True, None),
                 lambda: agent.spawn(server, "late")):
        with pytest.raises(errors.Silent):
            call()
        assert agent.driver.get_power_state(server.id) == virt.SHUTDOWN


@pytest.mark.parametrize(("action", "state"), [
    ("start", virt.RUNNING), ("wait", virt.SHUTDOWN), ("leave", virt.SHUTDOWN), ("destroy", virt.NOSTATE)])
def test_reconciliation_has_the_word(agent: Agent, action: str, state: str) -> None:
    server = _with_volume()
    agent.spawn(server)
    _hear(agent, 1)
    _hear(agent, 2)
    agent.conductor.verdicts[server.id] = {"action": action, "server": None}
    agent.reconciler.run()
    [entry] = [entry for entry in agent.conductor.present if entry["server_id"] == server.id]
    assert entry["power_state"] == virt.NOSTATE
    assert agent.driver.get_power_state(server.id) == state
    assert agent.self_fence.is_suspect(server.id) is (action == "wait")


def test_suspects_are_remembered_by_the_next_agent(agent: Agent, tmp_path: Path) -> None:
    server = _with_volume()
    agent.spawn(server)
    _hear(agent, 1)
    _hear(agent, 2)
    again = SelfFence(agent.layout, agent.specs, agent.driver, after_s=0)
    again.start()
    assert again.is_suspect(server.id)
    assert again.generation == 2


def test_a_hypervisor_that_cannot_stop_a_guest_prolongs_nothing(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    agent.spawn(_with_volume())
    _hear(agent, 1)

    def refuse(_server_id: str) -> None:
        raise errors.Unavailable("libvirt does not answer.", part="libvirt")

    monkeypatch.setattr(agent.driver, "cut_power", refuse)
    with pytest.raises(errors.Unavailable):
        _hear(agent, 2)
    assert agent.self_fence.generation == 1, "the next answer tries again"


@pytest.fixture
def watched(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> SelfFence:
    """The same host with a watchdog's promise; the watchdog is not started."""
    made = SelfFence(agent.layout, agent.specs, agent.driver, after_s=30)
    monkeypatch.setattr(made, "_see_to_watchdog", lambda: True)
    made.start()
    return made


def test_nothing_starts_before_a_conductor_was_heard_and_after_the_time_is_over(watched: SelfFence) -> None:
    with pytest.raises(errors.Silent), watched.starting("any"):
        pass
    watched.heard(watchdog.clock(), _answer(1))
    with watched.starting("any"):
        pass
    watched.heard(watchdog.clock() - 31, _answer(1))
    with pytest.raises(errors.Silent), watched.starting("any"):
        pass


def test_the_time_counts_from_the_sending_of_the_report(watched: SelfFence, agent: Agent) -> None:
    watched.heard(1000.0, _answer(1))
    assert watchdog.Lease(agent.layout.root).until == 1030.0
    watched.heard(2000.0, {"accepted": False, "fence_generation": 1})
    assert watchdog.Lease(agent.layout.root).until == 1030.0, "a report that was not taken promises nothing"


def test_what_the_watchdog_killed_is_suspect(watched: SelfFence, agent: Agent) -> None:
    server = _with_volume()
    agent.specs.save(server)
    watched.heard(watchdog.clock(), _answer(1))
    assert not watched.is_suspect(server.id)
    watchdog.Lease(agent.layout.root).fences += 1
    assert watched.swallows(server.id, "crashed")
    assert not watched.swallows(ids.new_id(), "crashed")
    assert watched.heard(watchdog.clock(), _answer(1)) is True


def test_a_host_whose_watchdog_holds_the_gate_takes_the_new_generation(
        watched: SelfFence, agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(self_fence, "_GATE_PATIENCE_S", 0.2)
    agent.specs.save(_with_volume())
    watched.heard(watchdog.clock(), _answer(1))
    lease, dog = watchdog.Lease(agent.layout.root), watchdog.Watchdog(agent.layout.root)
    lease.until = watchdog.clock() - 0.1
    assert dog.look(), "it has shut the gate"
    assert watched.heard(watchdog.clock(), _answer(2)) is True
    assert watched.generation == 2
    assert not dog.look(), "it has opened it again"
    with watched.starting("another"):
        pass
