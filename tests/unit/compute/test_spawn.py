"""Spawning and destroying: what is made, what a failure leaves, that everything may be repeated from anywhere."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from compute.virt import driver as virt
from hostler import errors
from hostler.agent.faults import Order
from hostler.resources.server.specs import ServerSpec
from tests.harness.compute_agents import CTX, Agent, make_agent, make_server
from tests.harness.contexts import attempt_of

SPAWN_STEPS = ["spawn.spec", "spawn.ports", "network.plug:before", "network.plug:after", "spawn.image", "image.fetch",
               "spawn.disk", "disk.ensure:before", "disk.ensure:after", "spawn.start", "driver.create:before",
               "driver.create:after", "spawn.activate", "network.activate", "spawn.end"]
DISK_STEPS = ["spawn.image", "image.fetch", "spawn.disk", "disk.ensure:before", "disk.ensure:after"]  # beside `plug`
DESTROY_STEPS = ["destroy.guest", "driver.destroy:before", "driver.destroy:after", "destroy.ports",
                 "network.unplug:before", "network.unplug:after", "destroy.files", "destroy.end"]


def test_a_server_runs_and_everything_is_there(agent: Agent, server: ServerSpec) -> None:
    assert agent.spawn(server) == {"power_state": "running"}
    assert agent.driver.list_servers() == {server.id: virt.RUNNING}
    assert agent.network.active == {server.ports[0].id}
    assert agent.specs.load(server.id) == server
    assert "ready" in agent.manager.get_console_output(CTX, server.id, None)
    assert agent.layout.spec(server.id).stat().st_mode & 0o077 == 0, "the spec holds secrets"


def test_a_second_spawn_changes_nothing(agent: Agent, server: ServerSpec) -> None:
    agent.spawn(server)
    agent.spawn(server, attempt=2)
    assert agent.driver.domains[server.id].starts == 1


def test_destroy_leaves_nothing_and_may_be_repeated(agent: Agent, server: ServerSpec) -> None:
    agent.spawn(server)
    agent.destroy(server)
    agent.destroy(server)
    assert agent.leftovers() == []


def test_destroy_removes_ports_that_only_the_kept_spec_knows(agent: Agent, server: ServerSpec) -> None:
    agent.spawn(server)
    agent.manager.destroy_server(attempt_of("delete"), server.id, [])
    assert agent.leftovers() == []


def test_the_steps_are_those_that_the_campaign_breaks(agent: Agent, server: ServerSpec) -> None:
    agent.faults.passed.clear()
    agent.spawn(server)
    passed = [step for step in agent.faults.passed if step in SPAWN_STEPS]
    assert [step for step in passed if step in DISK_STEPS] == DISK_STEPS
    assert [step for step in passed if step not in DISK_STEPS] == [
        step for step in SPAWN_STEPS if step not in DISK_STEPS]
    assert passed.index("spawn.ports") < passed.index(DISK_STEPS[0])
    assert passed.index(DISK_STEPS[-1]) < passed.index("spawn.start")
    agent.faults.passed.clear()
    agent.destroy(server)
    assert [step for step in agent.faults.passed if step in DESTROY_STEPS] == DESTROY_STEPS


@pytest.mark.parametrize("step", SPAWN_STEPS)
@pytest.mark.parametrize("restart", [False, True], ids=["same-process", "restarted"])
def test_a_spawn_broken_at_any_step_is_mended_by_the_next(tmp_path: Path, step: str, restart: bool) -> None:
    agent, server = make_agent(tmp_path), make_server()
    agent.faults.order(Order(step=step, action="fail", reason="told to"))
    with pytest.raises(errors.AgentError, match="told to"):
        agent.spawn(server)
    if restart:
        agent = make_agent(tmp_path)
    assert agent.spawn(server, attempt=2)["power_state"] == "running"
    assert agent.driver.domains[server.id].starts == 1 and agent.network.active == {server.ports[0].id}


@pytest.mark.parametrize("step", SPAWN_STEPS)
def test_a_spawn_broken_at_any_step_is_undone_by_destroy(tmp_path: Path, step: str) -> None:
    agent, server = make_agent(tmp_path), make_server()
    agent.faults.order(Order(step=step, action="fail"))
    with pytest.raises(errors.AgentError):
        agent.spawn(server)
    agent.destroy(server, "boot", 2)
    assert agent.leftovers() == []


@pytest.mark.parametrize("step", DESTROY_STEPS)
@pytest.mark.parametrize("restart", [False, True], ids=["same-process", "restarted"])
def test_a_destroy_broken_at_any_step_is_finished_by_the_next(tmp_path: Path, step: str, restart: bool) -> None:
    agent, server = make_agent(tmp_path), make_server()
    agent.spawn(server)
    agent.faults.order(Order(step=step, action="fail"))
    with pytest.raises(errors.AgentError):
        agent.destroy(server)
    if restart:
        agent = make_agent(tmp_path)
        agent.reconciler.restore()
    agent.destroy(server, attempt=2)
    assert agent.leftovers() == []


def test_an_older_attempt_is_refused_also_after_a_restart(tmp_path: Path, server: ServerSpec) -> None:
    agent = make_agent(tmp_path)
    agent.destroy(server, "boot", 3)
    for again in (agent, make_agent(tmp_path)):
        with pytest.raises(errors.StaleAttempt) as caught:
            again.spawn(server, "boot", 2)
        assert caught.value.fields["seen"] == 3
        assert again.leftovers() == []


def test_a_spawn_overtaken_by_a_later_attempt_stops_between_steps(agent: Agent, server: ServerSpec) -> None:
    agent.faults.order(Order(step="image.fetch", action="slow", seconds=0.4))
    caught: list[BaseException] = []

    def spawn() -> None:
        try:
            agent.spawn(server, "boot", 1)
        except errors.StaleAttempt as error:
            caught.append(error)

    thread = threading.Thread(target=spawn)
    thread.start()
    deadline = time.monotonic() + 5
    while "image.fetch" not in agent.faults.passed and time.monotonic() < deadline:
        time.sleep(0.01)
    agent.destroy(server, "boot", 2)
    thread.join()
    assert caught and agent.leftovers() == []


def test_two_spawns_of_one_server_do_not_interleave(agent: Agent, server: ServerSpec) -> None:
    agent.faults.order(Order(step="disk.ensure:before", action="slow", seconds=0.1))
    threads = [threading.Thread(target=agent.spawn, args=(server,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert agent.driver.domains[server.id].starts == 1
    assert agent.faults.passed.count("disk.ensure:before") == 1


def test_builds_are_limited(agent: Agent) -> None:
    at_work: list[int] = []
    peak: list[int] = []
    reach = agent.faults.reach

    def watch(step: str, server_id: str | None = None) -> None:
        if step == "disk.ensure:before":
            at_work.append(1)
            peak.append(len(at_work))
        reach(step, server_id)
        if step == "disk.ensure:after":
            at_work.pop()

    agent.tools.disks.faults = type("Watch", (), {"reach": staticmethod(watch)})()  # type: ignore[attr-defined]
    agent.faults.order(Order(step="disk.ensure:before", action="slow", seconds=0.05, times=0))
    threads = [threading.Thread(target=agent.spawn, args=(make_server(), f"op{index}")) for index in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(peak) <= 2 and len(agent.driver.domains) == 6


def test_an_error_of_the_host_is_told_without_its_paths(agent: Agent, server: ServerSpec,
                                                        monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "/secret/place")

    monkeypatch.setattr(agent.tools.disks, "ensure", full)
    with pytest.raises(errors.AgentError) as caught:
        agent.spawn(server)
    assert "No space left" in str(caught.value) and "secret" not in str(caught.value)
