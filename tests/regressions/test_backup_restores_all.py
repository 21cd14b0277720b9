"""A restore brought back the bytes alone: metadata, image metadata, the bootable flag and the name were lost, and all
of it once the source volume's record was purged."""

from __future__ import annotations

from typing import Any

import pytest

from hostler import clock
from hostler.db import purge
from tests.harness.client import Client
from tests.harness.inprocess import Cloud

V = "/volume/v3"
IMAGE_METADATA = {"os_type": "linux", "hw_disk_bus": "virtio"}


@pytest.fixture
def backup_id(client: Client) -> str:
    """A backup of a bootable volume with metadata, whose volume is gone."""
    answer = client.post(f"{V}/volumes", {"volume": {
        "size": 1, "name": "database", "description": "of the shop", "metadata": {"owner": "me"}}})
    volume_id = answer.json()["volume"]["id"]
    client.wait_volume(volume_id, "available")
    for body in ({"os-set_image_metadata": {"metadata": IMAGE_METADATA}}, {"os-set_bootable": {"bootable": True}}):
        client.post(f"{V}/volumes/{volume_id}/action", body).raise_for_status()
    made = client.post(f"{V}/backups", {"backup": {"volume_id": volume_id}}).json()["backup"]["id"]
    client.wait_block(f"backups/{made}", "available")
    client.delete(f"{V}/volumes/{volume_id}").raise_for_status()
    client.wait_block_gone(f"volumes/{volume_id}")
    return str(made)


def restored(client: Client, backup_id: str, **where: str) -> dict[str, Any]:
    answer = client.post(f"{V}/backups/{backup_id}/restore", {"restore": where})
    assert answer.status_code == 202, answer.text
    client.wait_block(f"backups/{backup_id}", "available")
    return client.wait_volume(answer.json()["restore"]["volume_id"], "available")


def kept(volume: dict[str, Any]) -> tuple[Any, ...]:
    return volume["metadata"], volume["bootable"], volume.get("volume_image_metadata")


WHOLE = ({"owner": "me"}, "true", IMAGE_METADATA)


def test_to_a_new_volume_after_a_purge(cloud: Cloud, client: Client, backup_id: str) -> None:
    purge.purge(cloud.db, clock.utcnow())
    made = restored(client, backup_id)
    assert kept(made) == WHOLE
    assert (made["name"], made["description"]) == ("database", "of the shop")
    assert restored(client, backup_id, name="mine")["name"] == "mine"


def test_onto_an_existing_volume(client: Client, backup_id: str) -> None:
    target = client.post(f"{V}/volumes", {"volume": {"size": 1, "name": "target", "metadata": {"old": "gone"}}})
    client.wait_volume(target.json()["volume"]["id"], "available")
    made = restored(client, backup_id, volume_id=target.json()["volume"]["id"])
    assert kept(made) == WHOLE
    assert made["name"] == "target"


def test_as_the_source_of_a_new_volume(client: Client, backup_id: str) -> None:
    answer = client.post(f"{V}/volumes", {"volume": {"backup_id": backup_id, "size": 2, "metadata": {"more": "x"}}},
                         headers={"OpenStack-API-Version": "volume 3.47"})
    made = client.wait_volume(answer.json()["volume"]["id"], "available")
    assert kept(made) == ({"owner": "me", "more": "x"}, "true", IMAGE_METADATA)
