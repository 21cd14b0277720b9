"""ISO images in the drives of servers on the fake host: attach, detach, starts, what broke off, late messages."""

from __future__ import annotations

import dataclasses

import pytest

from hostler import errors, ids
from hostler.agent.faults import Order
from hostler.resources.server.specs import ImageSpec, ServerSpec
from tests.harness.compute_agents import Agent, make_server
from tests.harness.contexts import attempt_of


@pytest.fixture
def running() -> ServerSpec:
    return make_server(image_properties={"hw_cdrom_bus": "sata"})


@pytest.fixture
def iso() -> ImageSpec:
    return ImageSpec(id=ids.new_id(), sha256="cd" * 32, size_bytes=1, virtual_size_bytes=1, disk_format="iso")


def attach(agent: Agent, server: ServerSpec, iso: ImageSpec, attempt: int = 1) -> None:
    agent.manager.attach_iso(attempt_of("attach", attempt), server.id, iso.to_wire())


def detach(agent: Agent, server: ServerSpec, _iso: ImageSpec, attempt: int = 1) -> None:
    agent.manager.detach_iso(attempt_of("detach", attempt), server.id)


def inside(agent: Agent, server: ServerSpec) -> str:
    """Return the checksum of what is in the drive, on which guest and spec agree."""
    kept = agent.specs.require(server.id).iso
    found = agent.driver.domains[server.id].iso
    assert found == ("" if kept is None else kept.sha256)
    return found


def test_attach_and_detach_may_be_repeated(agent: Agent, running: ServerSpec, iso: ImageSpec) -> None:
    agent.spawn(running)
    for change, found in ((attach, iso.sha256), (detach, "")):
        for attempt in (1, 2):
            change(agent, running, iso, attempt)
            assert inside(agent, running) == found


@pytest.mark.parametrize("step", ["attach_iso.spec", "driver.change_medium:before", "driver.change_medium:after",
                                  "attach_iso.end"])
def test_an_attach_that_broke_off_is_finished_and_undone(agent: Agent, running: ServerSpec, iso: ImageSpec,
                                                         step: str) -> None:
    agent.spawn(running)
    for number, finish in enumerate((attach, detach)):
        agent.faults.order(Order(step=step, action="fail"))
        with pytest.raises(errors.AgentError):
            attach(agent, running, iso, attempt=number * 2 + 1)
        finish(agent, running, iso, attempt=number * 2 + 2)
        assert inside(agent, running) == (iso.sha256 if finish is attach else "")
        detach(agent, running, iso, attempt=number * 2 + 3)


def test_a_guest_that_runs_needs_a_drive_and_gets_one_when_it_starts(agent: Agent, iso: ImageSpec) -> None:
    server = make_server()
    agent.spawn(server)
    with pytest.raises(errors.AgentError, match="without a CD-ROM drive"):
        attach(agent, server, iso)
    detach(agent, server, iso)
    agent.driver.power_off(server.id)
    attach(agent, server, iso, attempt=2)
    agent.manager.start_server(attempt_of("start", 1), dataclasses.replace(server, iso=iso).to_wire())
    assert inside(agent, server) == iso.sha256
    detach(agent, server, iso, attempt=2)
    assert inside(agent, server) == ""


def test_a_late_message_leaves_the_drive_as_it_is(agent: Agent, running: ServerSpec, iso: ImageSpec) -> None:
    agent.spawn(running)
    attach(agent, running, iso)
    agent.manager.pause_server(attempt_of("pause", 1), running.to_wire())
    assert inside(agent, running) == iso.sha256
    assert iso.sha256 in {image.sha256 for image in agent.specs.require(running.id).images}, "the cache keeps it"


def test_a_server_that_is_not_here_gets_nothing(agent: Agent, running: ServerSpec, iso: ImageSpec) -> None:
    with pytest.raises(errors.NotFound):
        attach(agent, running, iso)
    detach(agent, running, iso)
