"""A conductor that slept with a host's report in its hands wrote the old power state over a newer operation.

The server counted as running, and a start was refused with 409 until the host reconciled, three minutes later.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conductor import guest_reports
from hostler import clock
from hostler.db.models import Server
from hostler.resources import revisions
from tests.harness.compute_agents import make_agent, make_server
from tests.harness.conductor_rig import Rig
from tests.harness.contexts import attempt_of


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    """A conductor whose one host does what it is asked."""
    made = Rig(tmp_path)
    made.cloud.images.signed_url.return_value = "/x"  # type: ignore[attr-defined]
    return made


def running(rig: Rig) -> str:
    server_id, operation_id = rig.accept("server.create")
    rig.run(operation_id)
    return server_id


def do(rig: Rig, verb: str, server_id: str) -> None:
    _, operation_id = rig.accept(f"server.{verb}", server_id)
    assert rig.run(operation_id) is None


def look(rig: Rig, server_id: str, revision: int) -> None:
    guest_reports.record_look(rig.db, "host1", [
        {"server_id": server_id, "power_state": "running", "revision": revision}])


def event(rig: Rig, server_id: str, revision: int) -> None:
    guest_reports.record_events(rig.db, "host1", [
        {"server_id": server_id, "event": "started", "power_state": "running", "revision": revision,
         "at": clock.iso_micro(clock.utcnow())}])


@pytest.mark.parametrize("report", [look, event])
def test_a_report_from_before_an_operation_changes_nothing(rig: Rig, report: Callable[[Rig, str, int], None]) -> None:
    server_id = running(rig)
    before = rig.one(Server, server_id).revision  # what the host knows when it looks
    do(rig, "stop", server_id)
    report(rig, server_id, before)
    row = rig.one(Server, server_id)
    assert (row.vm_state, row.power_state) == ("stopped", "shutdown")
    # What the host reports of the guest it has now counts, as it always did.
    report(rig, server_id, row.revision)
    assert rig.one(Server, server_id).vm_state == "active"


def test_a_rename_does_not_make_reports_old(rig: Rig) -> None:
    server_id = running(rig)
    do(rig, "stop", server_id)
    known = rig.one(Server, server_id).revision
    rig.db.write(lambda session: revisions.server_changed(session, server_id))
    event(rig, server_id, known)
    assert rig.one(Server, server_id).vm_state == "active"


def test_an_agent_reports_what_it_knew_when_it_looked(tmp_path: Path) -> None:
    agent, server = make_agent(tmp_path), make_server(revision=4)
    agent.manager.spawn_server(attempt_of("boot"), server.to_wire())
    agent.reconciler.run()
    assert reported(agent.conductor.present) == {server.id: 4}
    agent.driver.happen(server.id, "stopped")
    agent.relay.flush()
    assert [(told["event"], told["revision"]) for told in agent.conductor.events] == [("stopped", 4)]
    # A look during which somebody works on the server tells nothing of it.
    with agent.bench.work_on(server.id, attempt_of("other")):
        agent.reconciler.run()
    assert reported(agent.conductor.present) == {server.id: -1}


def reported(present: list[dict[str, Any]]) -> dict[str, int]:
    return {entry["server_id"]: entry["revision"] for entry in present}
