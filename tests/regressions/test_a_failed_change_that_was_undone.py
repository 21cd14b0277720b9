"""A rescue failed after the guest was off, and its revert started the guest again: the host reported "stopped", but
not "started", which the revert's answer said already. A report that came after the operation's end left the server
SHUTOFF while its guest ran. Likewise a guest that had arrived paused in a live migration, and was then let run."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from hostler import errors
from hostler.agent.faults import Order
from hostler.resources.server.specs import ImageSpec, RescueSpec
from tests.harness.compute_agents import make_agent, make_server
from tests.harness.contexts import attempt_of

IMAGE = ImageSpec(id="rescue-image", sha256="r" * 64, size_bytes=1, virtual_size_bytes=1, disk_format="raw")


def test_the_last_report_is_what_the_revert_left(tmp_path: Path) -> None:
    agent, server = make_agent(tmp_path), make_server()
    agent.spawn(server)
    agent.faults.order(Order("driver.create:before", "fail"))
    with pytest.raises(errors.AgentError):
        agent.manager.rescue_server(
            attempt_of("r"), dataclasses.replace(server, rescue=RescueSpec(image=IMAGE)).to_wire(), {})
    agent.manager.unrescue_server(attempt_of("r"), server.to_wire(), True, {})
    agent.relay.flush()
    assert [event["event"] for event in agent.conductor.events] == ["stopped", "started"]
    agent.manager.reboot_server(attempt_of("b"), server.to_wire(), True, None)
    agent.relay.flush()
    assert len(agent.conductor.events) == 2, "an answer is not repeated by a report"


def test_a_guest_that_arrived_paused_is_reported_as_running(tmp_path: Path) -> None:
    agent, server = make_agent(tmp_path), make_server()
    agent.spawn(server)
    agent.driver.happen(server.id, "paused")  # nobody works on it
    agent.manager.unpause_server(attempt_of("u"), server.to_wire())
    agent.relay.flush()
    assert agent.conductor.events[-1]["power_state"] == "running"
