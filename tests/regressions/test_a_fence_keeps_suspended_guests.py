"""A host that was fenced dropped the saved memory of its suspended guests, which could then not be resumed."""

from __future__ import annotations

from pathlib import Path

import pytest

from compute import watchdog
from compute.virt import driver as virt
from hostler import ids
from hostler.resources.server.specs import AttachedSpec, ConnectionSpec
from tests.harness.compute_agents import Agent, make_agent, make_server


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    return make_agent(tmp_path)


def test_a_suspended_guest_can_be_resumed_on_the_host_that_keeps_it(agent: Agent) -> None:
    server = make_server(volumes=(AttachedSpec(
        attachment_id=ids.new_id(), volume_id=ids.new_id(), size_gib=1, device="vdb",
        connection=ConnectionSpec(protocol="fake", data={"path": "/nowhere"})),))
    agent.spawn(server)
    agent.driver.suspend(server.id)
    for generation in (1, 2):
        agent.self_fence.heard(watchdog.clock(), {"accepted": True, "fence_generation": generation})
    assert agent.self_fence.is_suspect(server.id)
    assert agent.driver.get_power_state(server.id) == virt.SUSPENDED
    agent.self_fence.clear(server.id)
    agent.driver.resume(server.id)
    assert agent.driver.get_power_state(server.id) == virt.RUNNING
