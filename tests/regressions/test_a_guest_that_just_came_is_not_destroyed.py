"""Reconciliation destroyed the guest that an evacuation had just brought to a host.

It read where servers belong, and then which ones an operation works on. The evacuation ended between the two: its
server still belonged elsewhere, and nothing worked on it any more. Likewise a server was started that had just been
stopped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event, orm

from conductor import homes, reconcile
from hostler import ids
from hostler.db.models import Host, Lock, Server
from tests.harness.conductor_rig import Rig, rig

__all__ = ["rig"]


@pytest.fixture
def server_id(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> str:
    """A server on another host, which has it still, with an operation under way."""
    made = ids.new_id()

    def work(session: orm.Session) -> None:
        zone_id = session.get_one(Host, rig.host_id).zone_id
        session.add(Host(id="2" * 36, name="host2", number=2, zone_id=zone_id, vcpus=8, ram_mib=8192, disk_gib=100))
        session.flush()
        session.add(Server(id=made, name="one", project_id=rig.context.project_id, user_id=rig.context.user_id,
                           vm_state="active", power_state="running", flavor_id=ids.new_id(), vcpus=1, ram_mib=64,
                           root_gib=1, host_id="2" * 36))

    rig.db.write(work)
    rig.accept("server.evacuate", made)
    monkeypatch.setattr(homes, "left_over_servers", lambda _cloud, records: {row.id for row in records})
    rig.cloud.images.signed_url.return_value = "/x"  # type: ignore[attr-defined]
    return made


def _end_at(rig: Rig, which: int, end: Callable[[orm.Session], Any]) -> None:
    """End the operation before the reconciliation's statement number `which`."""
    seen: list[str] = []

    def look(_connection: Any, _cursor: Any, text: str, *_more: Any) -> None:
        if not text.startswith("SELECT"):
            return
        seen.append(text)
        if len(seen) == which:
            rig.db.write(end)

    event.listen(rig.db.engine, "before_cursor_execute", look)


@pytest.mark.parametrize("which", range(1, 9))
def test_an_evacuated_guest(rig: Rig, server_id: str, which: int) -> None:
    def end(session: orm.Session) -> None:
        session.execute(sa.update(Server).where(Server.id == server_id).values(host_id=rig.host_id))
        session.execute(sa.delete(Lock).where(Lock.resource_id == server_id))

    _end_at(rig, which, end)
    present = [{"server_id": server_id, "power_state": "running", "revision": 0, "fingerprint": None}]
    [verdict] = reconcile.plan(rig.cloud, "host1", present)["servers"]
    assert verdict["action"] in ("leave", "keep", "wait")


@pytest.mark.parametrize("which", range(1, 9))
def test_a_stopped_guest(rig: Rig, server_id: str, which: int) -> None:
    rig.db.write(lambda session: session.execute(
        sa.update(Server).where(Server.id == server_id).values(host_id=rig.host_id)))

    def end(session: orm.Session) -> None:
        session.execute(sa.update(Server).where(Server.id == server_id).values(
            vm_state="stopped", power_state="shutdown"))
        session.execute(sa.delete(Lock).where(Lock.resource_id == server_id))

    _end_at(rig, which, end)
    present = [{"server_id": server_id, "power_state": "shutdown", "revision": 0, "fingerprint": None}]
    [verdict] = reconcile.plan(rig.cloud, "host1", present)["servers"]
    assert verdict["action"] in ("leave", "keep", "wait")


@pytest.mark.parametrize("which", range(1, 9))
def test_one_that_came_unseen(rig: Rig, server_id: str, which: int) -> None:
    def end(session: orm.Session) -> None:
        session.execute(sa.update(Server).where(Server.id == server_id).values(host_id=rig.host_id))
        session.execute(sa.delete(Lock).where(Lock.resource_id == server_id))

    _end_at(rig, which, end)
    verdicts = reconcile.plan(rig.cloud, "host1", [])["servers"]
    assert which < 3 or all(verdict["action"] == "leave" for verdict in verdicts)
