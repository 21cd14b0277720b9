"""Of two reports of one guest with no operation between them, an old one that arrived late won.

A conductor that slept with "stopped" in its hands wrote it over the "started" that came after, and the server counted
as stopped until its host looked again.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from conductor import guest_reports
from hostler import clock
from hostler.db.models import Server
from tests.harness.compute_agents import make_agent, make_server
from tests.harness.conductor_rig import Rig
from tests.harness.contexts import attempt_of

_EVENTS = {"running": "started", "shutdown": "stopped"}


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


def look(rig: Rig, server_id: str, power_state: str, number: int) -> None:
    guest_reports.record_look(rig.db, "host1", [{
        "server_id": server_id, "power_state": power_state, "revision": 9, "number": number}])


def event(rig: Rig, server_id: str, power_state: str, number: int) -> None:
    guest_reports.record_events(rig.db, "host1", [{
        "server_id": server_id, "event": _EVENTS[power_state], "power_state": power_state, "revision": 9,
        "at": clock.iso_micro(clock.utcnow()), "number": number}])


Report = Callable[[Rig, str, str, int], None]


@pytest.mark.parametrize("late", [look, event])
@pytest.mark.parametrize("newer", [look, event])
def test_an_older_report_changes_nothing(rig: Rig, newer: Report, late: Report) -> None:
    server_id = running(rig)
    newer(rig, server_id, "running", 5)  # says nothing new, and is newer all the same
    late(rig, server_id, "shutdown", 4)
    row = rig.one(Server, server_id)
    assert (row.vm_state, row.power_state) == ("active", "running")
    late(rig, server_id, "shutdown", 6)
    assert rig.one(Server, server_id).vm_state == "stopped"


def test_events_of_other_guests_do_not_count(rig: Rig) -> None:
    first, second = running(rig), running(rig)
    event(rig, first, "shutdown", 8)
    event(rig, second, "shutdown", 7)
    assert [rig.one(Server, one).vm_state for one in (first, second)] == ["stopped", "stopped"]


def test_an_agent_numbers_what_it_reports_also_after_a_restart(tmp_path: Path) -> None:
    numbers = []
    for _ in range(2):
        agent, server = make_agent(tmp_path), make_server()
        agent.manager.spawn_server(attempt_of("boot"), server.to_wire())
        agent.reconciler.run()
        agent.driver.happen(server.id, "stopped")
        agent.relay.flush()
        agent.reconciler.run()
        [told] = agent.conductor.events
        numbers += [told["number"], agent.conductor.present[0]["number"]]
    assert numbers == sorted(set(numbers))
