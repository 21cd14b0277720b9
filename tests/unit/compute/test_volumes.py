"""Volumes of servers on the fake host: attach, detach, resize, starts, reconciliation, inventory."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

import pytest

from compute import unplug
from compute.virt import driver as virt
from hostler import errors, ids
from hostler.agent.faults import Order
from hostler.resources.server.specs import AttachedSpec, ConnectionSpec, ServerSpec
from tests.harness.compute_agents import CTX, Agent, make_agent, make_server
from tests.harness.contexts import attempt_of

STEPS = ["attach.connection", "volume.resolve", "attach.spec", "attach.plug", "driver.attach_volume:before",
         "driver.attach_volume:after", "attach.end"]
DETACH_STEPS = ["detach.unplug", "driver.detach_volume:before", "driver.detach_volume:guest",
                "driver.detach_volume:after", "detach.spec", "detach.end"]


def make_volume(**changes: Any) -> AttachedSpec:
    made = AttachedSpec(attachment_id=ids.new_id(), volume_id=ids.new_id(), size_gib=1, device="vdb",
                        connection=ConnectionSpec(protocol="fake"))
    return dataclasses.replace(made, **changes)


@pytest.fixture
def running(agent: Agent, server: ServerSpec) -> ServerSpec:
    agent.spawn(server)
    return server


def attach(agent: Agent, server: ServerSpec, volume: AttachedSpec, operation: str = "attach", attempt: int = 1) -> None:
    agent.manager.attach_volume(attempt_of(operation, attempt), server.id, volume.to_wire())


def detach(agent: Agent, server: ServerSpec, volume: AttachedSpec, timeout_s: int = 1, operation: str = "detach",
           attempt: int = 1) -> None:
    agent.manager.detach_volume(attempt_of(operation, attempt), server.id, volume.volume_id, timeout_s)


def has(agent: Agent, server: ServerSpec) -> tuple[list[str], list[str]]:
    """Return the volumes of a server as its guest and as its spec have them."""
    kept = agent.specs.load(server.id)
    return agent.driver.list_volumes()[server.id], [one.volume_id for one in kept.volumes] if kept else []


def test_attach_and_detach_may_be_repeated(agent: Agent, running: ServerSpec) -> None:
    volume = make_volume()
    for attempt in (1, 2):
        attach(agent, running, volume, attempt=attempt)
        assert has(agent, running) == ([volume.volume_id], [volume.volume_id])
    for attempt in (1, 2):
        detach(agent, running, volume, attempt=attempt)
        assert has(agent, running) == ([], [])


def test_a_server_that_is_not_here_gets_nothing_and_has_nothing(agent: Agent) -> None:
    stranger, volume = make_server(), make_volume()
    with pytest.raises(errors.AgentError, match="not on its host"):
        attach(agent, stranger, volume)
    detach(agent, stranger, volume)
    assert agent.specs.ids() == []


def test_a_late_attempt_is_refused(agent: Agent, running: ServerSpec) -> None:
    volume = make_volume()
    detach(agent, running, volume, operation="one", attempt=2)
    with pytest.raises(errors.StaleAttempt):
        attach(agent, running, volume, operation="one", attempt=1)


@pytest.mark.parametrize("step", STEPS)
def test_an_attach_that_breaks_off_anywhere_can_be_finished_and_undone(agent: Agent, running: ServerSpec,
                                                                       step: str) -> None:
    for finish in (True, False):
        volume = make_volume(device="vdb" if finish else "vdc")
        agent.faults.order(Order(step=step, action="fail"))
        with pytest.raises(errors.AgentError):
            attach(agent, running, volume, f"one{finish}")
        if finish:
            attach(agent, running, volume, f"one{finish}", 2)
            assert volume.volume_id in has(agent, running)[0]
        detach(agent, running, volume, operation=f"undo{finish}")
        assert has(agent, running) == ([], [])


@pytest.mark.parametrize("step", DETACH_STEPS)
def test_a_detach_that_breaks_off_anywhere_can_be_finished(agent: Agent, running: ServerSpec, step: str,
                                                           monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unplug, "ASK_AGAIN_S", 0.1)
    volume = make_volume()
    attach(agent, running, volume)
    agent.faults.order(Order(step=step, action="fail"))
    if step == "driver.detach_volume:guest":
        detach(agent, running, volume, 5)  # asked again, it lets go
    else:
        with pytest.raises(errors.AgentError):
            detach(agent, running, volume)
    detach(agent, running, volume, attempt=2)
    assert has(agent, running) == ([], [])


def test_a_guest_that_holds_on_keeps_all_and_may_let_go_later(agent: Agent, running: ServerSpec) -> None:
    volume = make_volume()
    attach(agent, running, volume)
    agent.faults.order(Order(step="driver.detach_volume:guest", action="fail", times=0))
    started = time.monotonic()
    with pytest.raises(errors.AgentError, match="did not let go of volume .* in 1 seconds"):
        detach(agent, running, volume)
    assert 1 <= time.monotonic() - started < 5
    assert has(agent, running) == ([volume.volume_id], [volume.volume_id])
    agent.driver.domains[running.id].volumes.clear()  # it lets go after all
    agent.reconciler.run()
    assert has(agent, running)[0] == [], "nobody plugs it in again behind the records' back"
    detach(agent, running, volume, operation="again")
    assert has(agent, running) == ([], [])


def test_what_is_off_gets_its_volumes_when_it_starts(agent: Agent, running: ServerSpec) -> None:
    volume = make_volume()
    agent.manager.stop_server(attempt_of("stop"), running.to_wire(), 0)
    attach(agent, running, volume)
    assert has(agent, running) == ([volume.volume_id], [volume.volume_id])
    agent.manager.start_server(attempt_of("start"), dataclasses.replace(running, volumes=(volume,)).to_wire())
    assert has(agent, running) == ([volume.volume_id], [volume.volume_id])
    agent.manager.reboot_server(attempt_of("reboot"), running.to_wire(), True, None)
    assert has(agent, running) == ([], []), "the conductor's word counts at a start"


def test_a_suspended_server_keeps_its_disks(agent: Agent, running: ServerSpec) -> None:
    volume = make_volume()
    attach(agent, running, volume)
    agent.manager.suspend_server(attempt_of("suspend"), running.to_wire())
    for act in (lambda: attach(agent, running, make_volume(device="vdc"), "two"),
                lambda: detach(agent, running, volume)):
        with pytest.raises(errors.AgentError, match="suspended"):
            act()
    assert has(agent, running) == ([volume.volume_id], [volume.volume_id])


def test_a_server_that_boots_from_a_volume_has_no_root_disk(agent: Agent) -> None:
    volume = make_volume(device="vda", boot_index=0)
    server = make_server(image=None, volumes=(volume,))
    agent.spawn(server)
    domain = agent.driver.domains[server.id]
    assert (domain.disks, domain.volumes) == ([], [volume.volume_id])


def test_a_volume_that_cannot_be_reached_keeps_a_server_from_starting(agent: Agent) -> None:
    agent.faults.order(Order(step="volume.resolve", action="fail", reason="Volume v1 cannot be reached: it is away."))
    server = make_server(volumes=(make_volume(),))
    with pytest.raises(errors.AgentError, match="Volume v1"):
        agent.spawn(server)
    agent.spawn(server, attempt=2)


def test_resize_needs_the_volume_and_is_nothing_when_off(agent: Agent, running: ServerSpec) -> None:
    volume = make_volume()
    with pytest.raises(errors.AgentError, match="no volume"):
        agent.manager.resize_volume(attempt_of("grow"), running.id, volume.volume_id, 2 << 30)
    attach(agent, running, volume)
    agent.manager.resize_volume(attempt_of("grow"), running.id, volume.volume_id, 2 << 30)
    agent.manager.stop_server(attempt_of("stop"), running.to_wire(), 0)
    agent.manager.resize_volume(attempt_of("grow2"), running.id, volume.volume_id, 3 << 30)


def test_reconciliation_takes_out_what_the_records_do_not_know(agent: Agent, running: ServerSpec) -> None:
    stays, goes = make_volume(), make_volume(device="vdc")
    attach(agent, running, stays, "one")
    attach(agent, running, goes, "two")
    wanted = dataclasses.replace(running, volumes=(stays,))
    agent.conductor.verdicts = {running.id: {"action": "keep", "server": wanted.to_wire()}}
    agent.reconciler.run()
    assert has(agent, running) == ([stays.volume_id], [stays.volume_id])


def test_news_about_a_server_do_not_touch_its_volumes(agent: Agent, running: ServerSpec) -> None:
    volume = make_volume()
    attach(agent, running, volume)
    agent.manager.update_server(CTX, dataclasses.replace(running, name="other").to_wire())
    kept = agent.specs.load(running.id)
    assert kept is not None and (kept.name, kept.volumes) == ("other", (volume,))


def test_the_inventory_is_what_is_really_there(tmp_path: Path, server: ServerSpec) -> None:
    agent = make_agent(tmp_path)
    volume, of_none = make_volume(), make_volume()
    agent.spawn(server)
    attach(agent, server, volume)
    half = make_server(volumes=(of_none,))
    agent.specs.save(half)
    assert agent.manager.get_inventory(CTX) == {"servers": {
        server.id: {"power_state": virt.RUNNING, "volumes": [volume.volume_id]},
        half.id: {"power_state": virt.NOSTATE, "volumes": [of_none.volume_id]}}}
