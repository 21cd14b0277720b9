"""Images of servers on the fake host: from a running guest, from one that is off, and what a failure leaves."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from compute.service import Snapshots
from hostler import errors, ids
from hostler.agent.faults import Order
from hostler.resources.server.specs import AttachedSpec, ConnectionSpec, ServerSpec
from hostler.resources.volume.specs import UploadSpec
from tests.harness.compute_agents import Agent
from tests.harness.contexts import attempt_of


def _upload(agent: Agent, server: ServerSpec, attempt: int = 1) -> str:
    image_id = ids.new_id()
    upload = UploadSpec(image_id=image_id, disk_format="qcow2", url="http://api/upload")
    agent.manager.upload_server(attempt_of("snapshot", attempt), server.id, upload.to_wire())
    return image_id


@pytest.fixture
def running(agent: Agent, server: ServerSpec) -> ServerSpec:
    agent.spawn(server)
    agent.layout.disk(server.id).write_bytes(b"what the guest wrote")
    return server


def _copies(agent: Agent, server: ServerSpec) -> list[Any]:
    return agent.layout.snapshots(server.id)


@pytest.mark.parametrize("verb", ["", "stop", "pause", "suspend"])
def test_the_image_holds_the_disk_and_the_guest_is_as_before(agent: Agent, running: ServerSpec, verb: str) -> None:
    if verb:
        more = (0,) if verb == "stop" else ()
        getattr(agent.manager, f"{verb}_server")(attempt_of(verb), running.to_wire(), *more)
    before = dict(agent.driver.domains)
    image_id = _upload(agent, running)
    assert agent.conductor.images[image_id].endswith(b"what the guest wrote")
    assert agent.driver.domains == before
    assert _copies(agent, running) == []


@pytest.mark.parametrize("step", ["snapshot.copy", "driver.copy_disk:before", "driver.copy_disk:after", "snapshot.send",
                                  "snapshot.end"])
def test_what_fails_leaves_no_copy(agent: Agent, running: ServerSpec, step: str) -> None:
    agent.faults.order(Order(step, "fail", reason="no"))
    with pytest.raises(errors.AgentError, match="no"):
        _upload(agent, running)
    assert _copies(agent, running) == []
    assert agent.conductor.images[_upload(agent, running, 2)].endswith(b"what the guest wrote")


def test_an_image_that_the_store_refuses_leaves_no_copy(agent: Agent, running: ServerSpec) -> None:
    agent.conductor.store_refuses = errors.AgentError(reason="The image store refused it.")
    with pytest.raises(errors.AgentError, match="refused"):
        _upload(agent, running)
    assert _copies(agent, running) == []


def test_what_a_killed_agent_left_is_removed_before_and_by_the_next_try(agent: Agent, running: ServerSpec) -> None:
    agent.layout.snapshot(running.id, "old").touch()
    snapshots = Snapshots(agent.tools, agent.layout, agent.specs, agent.bench, max_concurrent=1)
    snapshots.discard_all()
    assert _copies(agent, running) == []
    assert "driver.end_copy" in agent.faults.passed
    for act in (lambda: _upload(agent, running),
                lambda: agent.manager.discard_upload(attempt_of("snapshot", 2), running.id)):
        agent.layout.snapshot(running.id, "old").touch()
        agent.faults.passed.clear()
        act()
        assert "driver.end_copy" in agent.faults.passed
        assert _copies(agent, running) == []
    agent.faults.passed.clear()
    snapshots.discard_all()
    assert agent.faults.passed == [], "a guest without a copy is left alone"


def test_file_systems_are_frozen_where_the_image_asks_for_it(agent: Agent, server: ServerSpec) -> None:
    server = dataclasses.replace(server, image_properties={"os_require_quiesce": "yes"})
    agent.spawn(server)
    agent.faults.order(Order("driver.freeze", "fail", reason="no guest agent"))
    with pytest.raises(errors.AgentError, match="no guest agent"):
        _upload(agent, server)
    _upload(agent, server, 2)


def test_a_server_without_a_local_disk_is_refused(agent: Agent, server: ServerSpec) -> None:
    root = AttachedSpec(attachment_id="a", volume_id=ids.new_id(), size_gib=1, device="vda", boot_index=0,
                        connection=ConnectionSpec(protocol="fake"))
    agent.spawn(dataclasses.replace(server, volumes=(root,)))
    with pytest.raises(errors.AgentError, match="no local disk"):
        _upload(agent, server)
    with pytest.raises(errors.AgentError, match="no local disk"):
        _upload(agent, dataclasses.replace(server, id=ids.new_id()))


def test_a_copy_that_nobody_wants_any_more_ends(agent: Agent, running: ServerSpec, monkeypatch: pytest.MonkeyPatch
                                                 ) -> None:
    monkeypatch.setattr("hostler.agent.progress.TELL_EVERY_S", 0.0)
    image_id = _upload(agent, running)
    assert agent.conductor.progress == [25, 75]
    agent.conductor.wanted = False
    with pytest.raises(errors.AgentError, match="cancelled"):
        _upload(agent, running, 2)
    assert list(agent.conductor.images) == [image_id] and _copies(agent, running) == []
    agent.conductor.silent = errors.Silent(part="The conductor service")
    _upload(agent, running, 3)


def test_a_late_call_of_an_older_attempt_sends_nothing(agent: Agent, running: ServerSpec) -> None:
    _upload(agent, running, 2)
    with pytest.raises(errors.StaleAttempt):
        _upload(agent, running, 1)
    assert len(agent.conductor.images) == 1
