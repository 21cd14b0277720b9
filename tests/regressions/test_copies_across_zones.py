"""Restores, clones and volumes from snapshots outside the default zone were accepted, then ended in error with their
quota held: they go where their source is, or are refused at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness.client import Client
from tests.harness.inprocess import Cloud

V = "/volume/v3"
NEWEST = {"OpenStack-API-Version": "volume 3.71"}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """An administrator's client of a cloud with storage in nova and, with a type of its own, in north."""
    home: Path = tmp_path_factory.mktemp("cloud")
    cloud = Cloud(home, hosts=1, nodes=2, node_options={"node2": {
        "volume": {"availability_zone": "north"}, "backend:fake": {"driver": "fake", "volume_backend_name": "cold"}}})
    made = cloud.start()
    made.post(f"{V}/types", {"volume_type": {"name": "cold", "extra_specs": {"volume_backend_name": "cold"}}})
    made.post(f"{V}/types", {"volume_type": {"name": "warm", "extra_specs": {"volume_backend_name": "fake"}}})
    yield made
    cloud.stop()


@pytest.fixture(scope="module")
def source(client: Client) -> str:
    """A volume in the zone north."""
    answer = client.post(f"{V}/volumes", {"volume": {"size": 1, "availability_zone": "north", "volume_type": "cold"}})
    assert answer.status_code == 202, answer.text
    volume_id = str(answer.json()["volume"]["id"])
    client.wait_volume(volume_id, "available")
    return volume_id


@pytest.fixture(scope="module")
def copies(client: Client, source: str) -> dict[str, str]:
    """What a volume can be made from: the member of the request → the id."""
    found = {"source_volid": source}
    for noun in ("snapshot", "backup"):
        made = str(client.post(f"{V}/{noun}s", {noun: {"volume_id": source}}).json()[noun]["id"])
        client.wait_block(f"{noun}s/{made}", "available")
        found[f"{noun}_id"] = made
    return found


def create(client: Client, **volume: Any) -> Any:
    return client.post(f"{V}/volumes", {"volume": {"size": 1, **volume}}, headers=NEWEST)


def used(client: Client) -> Any:
    return client.get(f"{V}/limits").json()["limits"]["absolute"]["totalVolumesUsed"]


@pytest.mark.parametrize("kind", ["source_volid", "snapshot_id", "backup_id"])
def test_a_copy_goes_where_its_source_is(client: Client, copies: dict[str, str], kind: str) -> None:
    made = client.wait_volume(create(client, **{kind: copies[kind]}).json()["volume"]["id"], "available")
    assert (made["availability_zone"], made["volume_type"]) == ("north", "cold")
    before = used(client)
    refused = create(client, **{kind: copies[kind], "availability_zone": "nova"})
    assert refused.status_code == 400, refused.text
    assert used(client) == before


@pytest.mark.parametrize("kind", ["source_volid", "snapshot_id"])
def test_a_type_of_another_back_end_is_refused(client: Client, copies: dict[str, str], kind: str) -> None:
    refused = create(client, **{kind: copies[kind], "volume_type": "warm"})
    assert refused.status_code == 400, refused.text


def test_a_restore_goes_where_the_backup_is(client: Client, copies: dict[str, str]) -> None:
    answer = client.post(f"{V}/backups/{copies['backup_id']}/restore", {"restore": {}})
    made = client.wait_volume(answer.json()["restore"]["volume_id"], "available")
    assert (made["availability_zone"], made["volume_type"]) == ("north", "cold")


def test_a_server_boots_from_a_snapshot_of_another_zone(client: Client, source: str) -> None:
    client.post(f"{V}/volumes/{source}/action", {"os-set_bootable": {"bootable": True}}).raise_for_status()
    snapshot = str(client.post(f"{V}/snapshots", {"snapshot": {"volume_id": source}}).json()["snapshot"]["id"])
    client.wait_block(f"snapshots/{snapshot}", "available")
    answer = client.post("/compute/v2.1/servers", {"server": {
        "name": "booted", "flavorRef": "42", "networks": "none", "availability_zone": "nova",
        "block_device_mapping_v2": [{"source_type": "snapshot", "destination_type": "volume", "uuid": snapshot,
                                     "boot_index": 0, "delete_on_termination": True}]}})
    assert answer.status_code == 202, answer.text
    client.wait_server(answer.json()["server"]["id"], "ACTIVE")
