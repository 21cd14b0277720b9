"""A client's words for volumes, and the look at a fake cloud with volumes at rest."""

from __future__ import annotations

import json
import time
from typing import Any

import sqlalchemy as sa

from hostler.agent.faults import Order
from hostler.db.models import Backend, Server, Volume, VolumeAttachment, VolumeNode
from hostler.resources.volume import states as volume_states
from tests.harness import invariants
from tests.harness.client import Client
from tests.harness.inprocess import Cloud
from tests.harness.ports import wait_for

V3 = "/volume/v3"


def make_volume(client: Client, size: int = 1, **more: Any) -> str:
    """Ask for a volume and wait until it is there; returns its id."""
    answer = client.post(f"{V3}/volumes", {"volume": {"size": size, **more}})
    assert answer.status_code == 202, answer.text
    volume_id = str(answer.json()["volume"]["id"])
    wait_volume(client, volume_id, "available")
    return volume_id


def show_volume(client: Client, volume_id: str) -> dict[str, Any] | None:
    """Return a volume, or None when it is gone."""
    answer = client.get(f"{V3}/volumes/{volume_id}")
    if answer.status_code == 404:
        return None
    answer.raise_for_status()
    volume: dict[str, Any] = answer.json()["volume"]
    return volume


def wait_volume(client: Client, volume_id: str, *statuses: str, timeout_s: float = 60) -> dict[str, Any]:
    """Wait for one of `statuses`."""
    end = time.monotonic() + timeout_s
    while True:
        volume = show_volume(client, volume_id)
        assert volume is not None, f"volume {volume_id} is gone"
        if volume["status"] in statuses:
            return volume
        assert volume["status"] != "error", volume
        assert time.monotonic() < end, f"volume {volume_id} stays {volume['status']}"
        time.sleep(0.05)


def attach(client: Client, server_id: str, volume_id: str, **more: Any) -> Any:
    """Ask for an attachment; returns the response."""
    return client.post(f"/compute/v2.1/servers/{server_id}/os-volume_attachments",
                       {"volumeAttachment": {"volumeId": volume_id, **more}})


def detach(client: Client, server_id: str, volume_id: str) -> Any:
    """Ask for the end of an attachment; returns the response."""
    return client.delete(f"/compute/v2.1/servers/{server_id}/os-volume_attachments/{volume_id}")


def order(faults: Any, step: str, action: str = "fail", **more: Any) -> None:
    """Order a fault of a host or storage node in this process."""
    faults.order(Order(step=step, action=action, reason=more.pop("reason", "told to fail"), **more))


def volume_faults(cloud: Cloud) -> list[str]:
    """Return what is wrong with volumes: half states, exports without attachment, data without record, and back."""
    with cloud.db.reading() as session:
        volumes = {row.id: row for row in session.scalars(sa.select(Volume).where(Volume.deleted_at.is_(None)))}
        attachments = {row.id: row for row in session.scalars(sa.select(VolumeAttachment))}
        places = {row.id: row.name for row in session.execute(
            sa.select(Backend.id, VolumeNode.name).join(VolumeNode, VolumeNode.id == Backend.node_id))}
        servers = set(session.scalars(sa.select(Server.id).where(Server.deleted_at.is_(None))))
    faults = [f"volume {row.id} is creating" for row in volumes.values() if row.state == volume_states.CREATING]
    faults += [f"attachment {row.id} is {row.state}" for row in attachments.values()
               if row.state != volume_states.ATTACHED]
    faults += [f"attachment {row.id} of a volume or server that is gone" for row in attachments.values()
               if row.volume_id not in volumes or row.server_id not in servers]
    here = {row.id for row in volumes.values() if row.backend_id is not None}
    found, exported = stored(cloud)
    faults += [f"data of volume {volume_id} without a record" for volume_id in found.keys() - here]
    faults += [f"volume {volume_id} has no data" for volume_id in here - found.keys()]
    faults += [f"volume {volume_id} is on {node}, not on {places[str(volumes[volume_id].backend_id)]}"
               for volume_id, node in found.items()
               if volume_id in here and places[str(volumes[volume_id].backend_id)] != node]
    connected = {row.connected_as for row in attachments.values()}
    faults += [f"export {key} without an attachment" for key in exported - connected]
    faults += [f"attachment {row.id} without an export" for row in attachments.values()
               if row.connection and row.connected_as not in exported]
    plugged = {(server_id, volume_id) for agent in cloud.agents.values()
               for server_id, volume_ids in agent.tools.driver.list_volumes().items() for volume_id in volume_ids}
    wanted = {(row.server_id, row.volume_id) for row in attachments.values() if row.connection}
    return faults + [f"server {each[0]} and volume {each[1]}: only one side knows" for each in plugged ^ wanted]


def stored(cloud: Cloud) -> tuple[dict[str, str], set[str]]:
    """Return what the fake nodes hold: volume id → node, and the ids of the exported attachments."""
    volumes: dict[str, str] = {}
    exported: set[str] = set()
    for name in cloud.volume_agents:
        directory = cloud.directory / name / "volume" / "fake"
        volumes.update({path.stem: name for path in directory.glob("*/volumes/*")})
        exported |= {path.stem for path in directory.glob("*/connections/*.json")}
    return volumes, exported


def wait_for_rest(cloud: Cloud) -> None:
    """Wait until nothing works, and nothing is wrong."""
    def faults() -> list[str]:
        found = [*invariants.database_faults(cloud.db), *volume_faults(cloud)]
        for name in cloud.agents:
            found += invariants.host_faults(cloud.db, name, cloud.directory / name)
        return found

    try:
        wait_for(lambda: not faults(), "rest", timeout_s=30)
    except Exception as error:
        raise AssertionError(json.dumps(faults(), indent=1)) from error
