"""States change by compare-and-set along the nouns' tables; what is refused is logged with both states."""

from __future__ import annotations

from pathlib import Path

import pytest

from conductor import guest_reports
from hostler.db.models import Server, Volume
from hostler.resources.server import moves as server_moves
from hostler.resources.server import states as server_states
from hostler.resources.volume import moves as volume_moves
from hostler.resources.volume import states as volume_states
from tests.harness.conductor_rig import Rig
from tests.harness.volume_rig import VolumeRig


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    """Records, and a host."""
    return Rig(tmp_path)


def a_server(rig: Rig, vm_state: str, power_state: str = "shutdown") -> str:
    server_id, operation_id = rig.accept("server.create")
    rig.run(operation_id)

    def work(session: object) -> None:
        row = session.get_one(Server, server_id)  # type: ignore[attr-defined]
        row.host_id, row.vm_state, row.power_state = rig.host_id, vm_state, power_state

    rig.db.write(work)
    return server_id


@pytest.mark.parametrize("new", server_states.VM_STATES)
@pytest.mark.parametrize("old", ["active", "stopped", "error", "deleted"])
def test_a_server_moves_where_its_table_says(rig: Rig, old: str, new: str) -> None:
    server_id = a_server(rig, old)
    moved = rig.db.write(lambda session: server_moves.move(session, server_id, new, {"power_state": "running"}))
    row = rig.one(Server, server_id)
    assert moved == server_states.may_become(old, new)
    assert (row.vm_state, row.power_state) == ((new, "running") if moved else (old, "shutdown"))


def test_a_refused_move_is_logged_with_both_states(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    server_id = a_server(rig, "stopped")
    assert not rig.db.write(lambda session: server_moves.move(session, server_id, "paused"))
    assert f"server {server_id} stays stopped: it does not become paused" in caplog.text


def test_a_move_may_be_held_to_fewer_states(rig: Rig) -> None:
    server_id = a_server(rig, "stopped")
    assert not rig.db.write(lambda session: server_moves.move(session, server_id, "active", only_from=("paused",)))


def test_a_host_cannot_suspend_what_is_stopped(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    server_id = a_server(rig, "stopped")
    with caplog.at_level("INFO"):
        guest_reports.record_look(rig.db, "host1", [
            {"server_id": server_id, "power_state": "suspended", "revision": 9}])
    assert rig.one(Server, server_id).vm_state == "stopped"
    assert f"server {server_id} stays stopped: suspended on its host does not make it suspended" in caplog.text


@pytest.mark.parametrize(("old", "new"), [("available", "error"), ("error", "available"), ("creating", "available"),
                                          ("available", "creating"), ("deleted", "available")])
def test_a_volume_moves_where_its_table_says(tmp_path: Path, old: str, new: str) -> None:
    rig = VolumeRig(tmp_path)
    volume_id = rig.volume(state=old)
    assert rig.db.write(lambda session: volume_moves.VOLUME.move(session, volume_id, new)) \
        == volume_states.may_become(old, new)
    assert rig.one(Volume, volume_id).state == (new if volume_states.may_become(old, new) else old)
