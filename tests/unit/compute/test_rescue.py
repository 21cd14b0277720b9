"""Rescue on the fake host."""

from __future__ import annotations

import dataclasses

import pytest

from compute.virt import driver as virt
from hostler import errors
from hostler.agent.faults import Order
from hostler.resources.server.specs import AttachedSpec, ConnectionSpec, ImageSpec, RescueSpec, ServerSpec
from tests.harness.compute_agents import Agent
from tests.harness.contexts import attempt_of

IMAGE = ImageSpec(id="rescue-image", sha256="r" * 64, size_bytes=1, virtual_size_bytes=1, disk_format="raw")


def _rescued(server: ServerSpec) -> dict[str, object]:
    return dataclasses.replace(server, rescue=RescueSpec(image=IMAGE), admin_password="secret").to_wire()


@pytest.fixture
def running(agent: Agent, server: ServerSpec) -> ServerSpec:
    agent.spawn(server)
    return server


@pytest.mark.contract("N-RESCUE")
def test_the_rescue_disk_comes_first_and_goes_again(agent: Agent, running: ServerSpec) -> None:
    layout = agent.layout
    before = dataclasses.replace(agent.driver.domains[running.id])
    for attempt in (1, 2):
        assert agent.manager.rescue_server(attempt_of("r", attempt), _rescued(running)) == {"power_state": "running"}
    assert agent.driver.domains[running.id].disks == ["vda", "vdb"]
    assert agent.driver.domains[running.id].starts == 2, "the second call found it done"
    assert layout.disk(running.id, "disk.rescue").exists() and layout.unrescue(running.id).exists()
    kept = agent.specs.require(running.id)
    assert kept.rescue is not None and kept.admin_password == "secret"
    for attempt in (1, 2):
        assert agent.manager.unrescue_server(attempt_of("u", attempt), running.to_wire(), True) == {
            "power_state": "running"}
    assert dataclasses.replace(agent.driver.domains[running.id], starts=1) == before
    assert agent.driver.domains[running.id].starts == 3
    assert not layout.disk(running.id, "disk.rescue").exists() and not layout.unrescue(running.id).exists()
    assert layout.disk(running.id).exists()


@pytest.mark.contract("N-RESCUE")
def test_a_rescue_disk_with_a_device_of_its_own_comes_last(agent: Agent, running: ServerSpec) -> None:
    rescue = RescueSpec(image=IMAGE, device="cdrom", bus="scsi")
    wire = dataclasses.replace(running, rescue=rescue).to_wire()
    assert agent.manager.rescue_server(attempt_of("r"), wire) == {"power_state": "running"}
    assert agent.driver.domains[running.id].disks == ["vda", "vdaa"]
    assert agent.specs.require(running.id).rescue == rescue, "so that a start by reconciliation has it, too"
    agent.manager.unrescue_server(attempt_of("u"), running.to_wire(), True)
    assert agent.driver.domains[running.id].disks == ["vda"]
    assert not agent.layout.disk(running.id, "disk.rescue").exists()


@pytest.mark.parametrize("step", ["rescue.definition", "rescue.off", "spawn.spec", "spawn.disk",
                                  "disk.ensure:after", "driver.create:before", "driver.create:after", "spawn.end"])
def test_a_rescue_that_breaks_off_is_finished_by_the_next_try(agent: Agent, running: ServerSpec, step: str) -> None:
    definition = agent.driver.definition_of(running.id)
    agent.faults.order(Order(step, "fail"))
    with pytest.raises(errors.AgentError):
        agent.manager.rescue_server(attempt_of("r", 1), _rescued(running))
    assert agent.manager.rescue_server(attempt_of("r", 2), _rescued(running)) == {"power_state": "running"}
    assert agent.driver.domains[running.id].disks == ["vda", "vdb"]
    kept = agent.layout.unrescue(running.id).read_text()
    assert definition is not None and '"disks": ["vda"]' in kept


@pytest.mark.parametrize("step", ["unrescue.off", "unrescue.spec", "unrescue.restore", "driver.restore:before",
                                  "driver.restore:after", "unrescue.files"])
@pytest.mark.parametrize("start", [True, False])
def test_an_end_of_rescue_that_breaks_off_is_finished(agent: Agent, running: ServerSpec, step: str,
                                                      start: bool) -> None:
    agent.manager.rescue_server(attempt_of("r"), _rescued(running))
    agent.faults.order(Order(step, "fail"))
    with pytest.raises(errors.AgentError):
        agent.manager.unrescue_server(attempt_of("u", 1), running.to_wire(), start)
    answer = agent.manager.unrescue_server(attempt_of("u", 2), running.to_wire(), start)
    assert answer == {"power_state": "running" if start else "shutdown"}
    assert agent.driver.domains[running.id].disks == ["vda"]
    assert not agent.layout.unrescue(running.id).exists() and agent.specs.require(running.id).rescue is None


def _with_volumes(server: ServerSpec) -> ServerSpec:
    def volume(name: str, index: int | None) -> AttachedSpec:
        return AttachedSpec(attachment_id=f"a-{name}", volume_id=name, size_gib=1, boot_index=index,
                            connection=ConnectionSpec(protocol="fake"), device="vda" if index == 0 else "vdb")

    return dataclasses.replace(server, volumes=(volume("root", 0), volume("data", None)))


def test_all_volumes_stay_beside_a_rescue_disk_with_a_device_of_its_own(agent: Agent, server: ServerSpec) -> None:
    server = _with_volumes(server)
    agent.spawn(server)
    rescue = RescueSpec(image=IMAGE, device="disk", bus="virtio")
    agent.manager.rescue_server(attempt_of("r"), dataclasses.replace(server, rescue=rescue).to_wire())
    domain = agent.driver.domains[server.id]
    assert domain.disks == ["vdaa"] and domain.volumes == ["root", "data"]
    agent.manager.unrescue_server(attempt_of("u"), server.to_wire(), True)
    assert agent.driver.domains[server.id].disks == [] and domain.volumes == ["root", "data"]


def test_a_rescued_guest_has_its_root_volume_alone(agent: Agent, server: ServerSpec) -> None:
    server = _with_volumes(server)
    agent.spawn(server)
    agent.manager.rescue_server(attempt_of("r"), _rescued(server))
    domain = agent.driver.domains[server.id]
    assert domain.disks == ["vda"] and domain.volumes == ["root"]
    agent.manager.unrescue_server(attempt_of("u"), server.to_wire(), True)
    assert agent.driver.domains[server.id].volumes == ["root", "data"]


def test_what_the_agent_knows_of_a_rescue_outlives_other_news(agent: Agent, running: ServerSpec) -> None:
    agent.manager.rescue_server(attempt_of("r"), _rescued(running))
    agent.manager.update_server(attempt_of("n"), dataclasses.replace(running, name="renamed", revision=9).to_wire())
    kept = agent.specs.require(running.id)
    assert kept.name == "renamed" and kept.rescue is not None


def test_a_lost_rescue_guest_is_started_again_as_one(agent: Agent, running: ServerSpec) -> None:
    agent.manager.rescue_server(attempt_of("r"), _rescued(running))
    agent.driver.domains.clear()
    agent.conductor.verdicts[running.id] = {"action": "start", "server": _rescued(running)}
    agent.reconciler.run()
    assert agent.driver.domains[running.id].disks == ["vda", "vdb"]
    assert agent.driver.get_power_state(running.id) == virt.RUNNING


def test_a_server_that_is_not_here_is_not_rescued(agent: Agent, server: ServerSpec) -> None:
    with pytest.raises(errors.AgentError, match="not on its host"):
        agent.manager.rescue_server(attempt_of("r"), _rescued(server))
    assert agent.leftovers() == []
