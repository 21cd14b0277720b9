"""The answer to a host that says what it has: what it knows already is not said again, nor read."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import event, orm

from conductor import reconcile
from hostler import ids
from hostler.db.models import Server, Volume, VolumeAttachment
from hostler.operations.accept import Target, accept
from hostler.operations.kinds import server as kinds
from hostler.resources import revisions
from tests.harness.conductor_rig import Rig


def _servers(rig: Rig, count: int) -> list[str]:
    """Return active servers on host1 that no operation holds."""
    found = [ids.new_id() for _ in range(count)]

    def work(session: orm.Session) -> None:
        for number, server_id in enumerate(found):
            session.add(Server(
                id=server_id, name=f"server-{number}", project_id=rig.context.project_id,
                user_id=rig.context.user_id, vm_state="active", power_state="running", flavor_id=ids.new_id(), vcpus=1,
                ram_mib=64, root_gib=1, host_id=rig.host_id))

    rig.db.write(work)
    return found


def _plan(rig: Rig, servers: list[str], prints: dict[str, str | None]) -> dict[str, dict[str, Any]]:
    rig.cloud.images.signed_url.return_value = "/x"  # type: ignore[attr-defined]
    present = [{"server_id": server_id, "power_state": "running", "revision": 0,
                "fingerprint": prints.get(server_id)} for server_id in servers]
    return {verdict["server_id"]: verdict
            for verdict in reconcile.plan(rig.cloud, "host1", present)["servers"]}


def _statements_for_known(rig: Rig, servers: list[str]) -> int:
    first = _plan(rig, servers, {})
    assert all(verdict["server"]["id"] == server_id for server_id, verdict in first.items())
    prints = {server_id: verdict["fingerprint"] for server_id, verdict in first.items()}
    texts: list[str] = []
    event.listen(rig.db.engine, "before_cursor_execute", lambda *call: texts.append(call[2]))
    assert all(verdict["server"] is None for verdict in _plan(rig, servers, prints).values())
    return len(texts)


def test_a_known_server_is_not_read_again(rig: Rig) -> None:
    servers = _servers(rig, 2)
    few = _statements_for_known(rig, servers)
    servers += _servers(rig, 10)
    assert _statements_for_known(rig, servers) == few, "a fixed number of statements"


def _rename(rig: Rig, session: orm.Session, server_id: str) -> None:
    session.get_one(Server, server_id).name = "new"


def _count(rig: Rig, session: orm.Session, server_id: str) -> None:
    revisions.server_changed(session, server_id)


def _plug(rig: Rig, session: orm.Session, server_id: str) -> None:
    volume = Volume(id=ids.new_id(), project_id=rig.context.project_id, user_id=rig.context.user_id, name="v",
                    state="ready", size_gib=1, claimed_gib=1, zone="nova")
    session.add(volume)
    session.flush()
    session.add(VolumeAttachment(id=ids.new_id(), volume_id=volume.id, server_id=server_id, state="attached",
                                 connection={"protocol": "fake", "data": {"path": "/x"}}))


@pytest.mark.parametrize("change", [_rename, _count, _plug])
def test_what_changed_is_said_whole(rig: Rig, change: Any) -> None:
    changed, same = _servers(rig, 2)
    prints = {server_id: verdict["fingerprint"] for server_id, verdict in _plan(rig, [changed, same], {}).items()}
    rig.db.write(lambda session: change(rig, session, changed))
    verdicts = _plan(rig, [changed, same], prints)
    assert verdicts[same]["server"] is None
    assert verdicts[changed]["server"]["id"] == changed
    assert verdicts[changed]["fingerprint"] != prints[changed]


def test_what_an_operation_holds_is_named(rig: Rig) -> None:
    held, free = _servers(rig, 2)
    rig.db.write(lambda session: accept(session, rig.context, kinds.PAUSE, Target("server", held), kinds.Arguments()))
    verdicts = _plan(rig, [held, free], {})
    assert [(verdicts[server_id]["action"], verdicts[server_id]["held"]) for server_id in (held, free)] == [
        ("leave", True), ("keep", False)]
