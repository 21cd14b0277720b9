"""After the restore of an old database, reconciliation destroyed servers and volumes that had moved since.

The restored record named the place before the move, so the only copy, at the new place, counted as left over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import orm

from conductor import volume_reconcile
from hostler.agent.faults import Order
from hostler.db.models import Host, Migration, Operation, Server
from hostler.operations import notes, states
from hostler.resources.volume import states as volume_states
from tests.harness.client import Client
from tests.harness.inprocess import Cloud
from tests.harness.ports import wait_for
from tests.harness.volume_rig import VolumeRig

Moved = tuple[str, str, str]  # its id, and the hosts it left and went to


@pytest.fixture
def moved(cloud: Cloud, client: Client, image: str) -> Iterator[Moved]:
    """A migrated server that waits to be confirmed."""
    server_id = client.create_server(image, "mover")
    before = client.wait_server(server_id, "ACTIVE")["OS-EXT-SRV-ATTR:host"]
    client.post(f"/compute/v2.1/servers/{server_id}/action", {"migrate": None}).raise_for_status()
    after = client.wait_server(server_id, "VERIFY_RESIZE")["OS-EXT-SRV-ATTR:host"]
    yield server_id, before, after
    if (client.show(server_id) or {})["status"] != "ERROR":
        _record(cloud, server_id, after, "active")
    client.delete(f"/compute/v2.1/servers/{server_id}")
    client.wait_gone(server_id)


def _record(cloud: Cloud, server_id: str, host: str, state: str) -> None:
    """Write what an older database says: the server was on `host`, and never moved."""
    def work(session: orm.Session) -> None:
        server = session.get_one(Server, server_id)
        server.host_id = session.scalars(sa.select(Host.id).where(Host.name == host)).one()
        server.vm_state, server.power_state = state, "running" if state == "active" else "shutdown"
        session.execute(sa.delete(Migration).where(Migration.server_id == server_id))

    cloud.db.write(work)


def _directory(cloud: Cloud, host: str, name: str) -> Path:
    return cloud.directory / host / "compute" / "servers" / name


def _guests(cloud: Cloud, server_id: str) -> set[str]:
    return {name for name, agent in cloud.agents.items() if server_id in agent.tools.driver.domains}


@pytest.mark.parametrize("state", ["active", "stopped"])
def test_a_server_that_moved_after_the_backup_stays(cloud: Cloud, moved: Moved, state: str) -> None:
    server_id, before, after = moved
    _record(cloud, server_id, before, state)
    for host in (after, before, after, before):
        cloud.agents[host]._reconciler.run()
    assert _guests(cloud, server_id) == {after}, "the only guest"
    assert (_directory(cloud, after, server_id) / "spec.json").exists()
    assert _directory(cloud, before, f"{server_id}.old").is_dir(), "the only copy on the host of the record"


def test_what_a_revert_could_not_put_back_stays(cloud: Cloud, client: Client, moved: Moved) -> None:
    server_id, before, _ = moved
    cloud.agents[before].tools.driver.faults.order(Order("restore.rename", "fail", server_id, reason="No room."))
    client.post(f"/compute/v2.1/servers/{server_id}/action", {"revertResize": None}).raise_for_status()
    client.wait_server(server_id, "ERROR")
    cloud.agents[before]._reconciler.run()
    assert _directory(cloud, before, f"{server_id}.old").is_dir(), "the only copy"
    client.post(f"/compute/v2.1/servers/{server_id}/action", {"reboot": {"type": "HARD"}}).raise_for_status()
    wait_for(lambda: (client.show(server_id) or {})["status"] == "ACTIVE", "the guest to run again", 30)
    assert _guests(cloud, server_id) == {before}


def test_what_is_at_home_is_removed_elsewhere(cloud: Cloud, moved: Moved) -> None:
    server_id, before, after = moved
    _record(cloud, server_id, after, "active")
    cloud.agents[before]._reconciler.run()
    assert not _directory(cloud, before, f"{server_id}.old").exists()
    _directory(cloud, before, server_id).mkdir()
    cloud.agents[before]._reconciler.run()
    assert not _directory(cloud, before, server_id).exists() and _guests(cloud, server_id) == {after}


@pytest.fixture
def rig(tmp_path: Path) -> VolumeRig:
    """Two storage nodes."""
    return VolumeRig(tmp_path)


def _left(rig: VolumeRig, volume_id: str, backend: str) -> None:
    operation_id = rig.add(Operation(kind="volume.migrate", resource_type="volume", resource_id=volume_id,
                                     request_id="r", state=states.SUCCEEDED))
    rig.db.write(lambda session: notes.write(session, operation_id, notes.LEFT_ON, key=rig.backends[backend]))


def _gone(rig: VolumeRig, volume_id: str) -> None:
    del rig.nodes.volumes[("node2", "b2")][volume_id]


def _silent(rig: VolumeRig, volume_id: str) -> None:
    rig.nodes.silent.add("node2")


@pytest.mark.parametrize("home", [_gone, _silent])
def test_a_volume_that_moved_back_after_the_backup_stays(rig: VolumeRig, home: Callable[[VolumeRig, str], None]
                                                         ) -> None:
    volume_id = rig.volume(backend="b2", state=volume_states.READY)
    rig.nodes.volumes[("node1", "b1")] = {volume_id: "the only copy"}
    _left(rig, volume_id, "b1")
    home(rig, volume_id)
    assert volume_reconcile.plan(rig.cloud, "node1", rig.nodes.inventory("node1"))["volumes"] == []
