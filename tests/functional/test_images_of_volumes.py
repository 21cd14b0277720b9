"""Servers that boot from volumes: images that name snapshots, servers made from those, and rebuilds, on fake hosts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.harness.client import Client
from tests.harness.inprocess import Cloud
from tests.harness.ports import wait_for
from tests.harness.volume_words import V3, order, wait_for_rest, wait_volume

SERVERS = "/compute/v2.1/servers"


@pytest.fixture(autouse=True)
def no_faults_left(cloud: Cloud) -> Iterator[None]:
    yield
    for node in cloud.volume_agents.values():
        node.faults.clear()


def _boot(client: Client, *disks: dict[str, Any], image: str = "", **more: Any) -> str:
    wanted = {"block_device_mapping_v2": list(disks)} if disks else {}
    answer = client.post(SERVERS, client.server_body(image, "bfv", **wanted, **more))
    assert answer.status_code == 202, answer.text
    server_id = str(answer.json()["server"]["id"])
    client.wait_server(server_id, "ACTIVE")
    return server_id


@pytest.fixture
def server(client: Client, image: str) -> Iterator[str]:
    """A server with a root volume made from an image, and an empty one beside it."""
    root = {"boot_index": 0, "uuid": image, "source_type": "image", "destination_type": "volume", "volume_size": 2,
            "delete_on_termination": True}
    data = {"source_type": "blank", "destination_type": "volume", "volume_size": 1, "delete_on_termination": True}
    server_id = _boot(client, root, data)
    yield server_id
    _gone(client, server_id)


def _gone(client: Client, server_id: str) -> None:
    client.delete(f"{SERVERS}/{server_id}")
    client.wait_gone(server_id)


def _volumes(client: Client, server_id: str) -> list[str]:
    return [one["id"] for one in (client.show(server_id) or {})["os-extended-volumes:volumes_attached"]]


def _snapshots(client: Client, volume_ids: list[str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get(f"{V3}/snapshots/detail").json()["snapshots"]
    return [one for one in found if one["volume_id"] in volume_ids]


def _content(cloud: Cloud, volume_id: str) -> Any:
    [entry] = [json.loads(path.read_text()) for name in cloud.volume_agents for path in
               (cloud.directory / name / "volume" / "fake").glob(f"*/volumes/{volume_id}*")]
    return entry["content"]


@pytest.mark.contract("N-SNAPSHOT", "N-BOOT")
def test_an_image_names_a_snapshot_of_each_volume_and_servers_boot_from_it(cloud: Cloud, client: Client,
                                                                           server: str) -> None:
    answer = client.act(server, "createImage", name="golden", metadata={"team": "a"})
    assert answer.status_code == 202, answer.text
    image_id = answer.json()["image_id"]
    wait_for(lambda: client.show_image(image_id)["status"] == "active", "the image", 20)
    made = client.show_image(image_id)
    assert (made["size"], made["disk_format"], made["container_format"]) == (0, "qcow2", "bare")
    assert made | {"bdm_v2": "True", "root_device_name": "/dev/vda", "image_type": "snapshot", "team": "a",
                   "instance_uuid": server, "visibility": "private"} == made
    assert not {"image_id", "image_name"} & made.keys()
    root, data = _volumes(client, server)
    disks = json.loads(made["block_device_mapping"])
    snapshots = {one["volume_id"]: one for one in _snapshots(client, [root, data])}
    assert [{key: disk[key] for key in ("source_type", "destination_type", "snapshot_id", "boot_index", "device_name",
                                        "volume_size", "delete_on_termination", "disk_bus", "volume_id")}
            for disk in disks] == [
        {"source_type": "snapshot", "destination_type": "volume", "snapshot_id": snapshots[volume_id]["id"],
         "boot_index": index, "device_name": device, "volume_size": size, "delete_on_termination": True,
         "disk_bus": "virtio", "volume_id": None}
        for volume_id, index, device, size in ((root, 0, "/dev/vda", 2), (data, None, "/dev/vdb", 1))]
    assert {(one["status"], one["name"]) for one in snapshots.values()} == {("available", "snapshot for golden")}
    assert client.get(f"/image/v2/images/{image_id}/file").status_code == 204
    actions = client.get(f"{SERVERS}/{server}/os-instance-actions").json()["instanceActions"]
    assert actions[0]["action"] == "createImage"
    again = _boot(client, image=image_id)
    assert (client.show(again) or {})["image"] == ""
    copies = [wait_volume(client, volume_id, "in-use") for volume_id in _volumes(client, again)]
    assert [(one["snapshot_id"], one["size"]) for one in copies] == [
        (snapshots[root]["id"], 2), (snapshots[data]["id"], 1)]
    assert _content(cloud, copies[0]["id"]) == _content(cloud, root)
    # What the request says of a disk counts before what the image says of it.
    other = _boot(client, {"device_name": "/dev/vdb", "source_type": "blank", "destination_type": "volume",
                           "volume_size": 3, "delete_on_termination": True},
                  {"uuid": image_id, "source_type": "image", "destination_type": "local", "boot_index": 0},
                  image=image_id)
    copies = [wait_volume(client, volume_id, "in-use") for volume_id in _volumes(client, other)]
    assert [(one["snapshot_id"], one["size"]) for one in copies] == [(snapshots[root]["id"], 2), (None, 3)]
    volume = client.post(f"{V3}/volumes", {"volume": {"size": 2, "imageRef": image_id}}).json()["volume"]["id"]
    assert wait_volume(client, volume, "available")["snapshot_id"] == snapshots[root]["id"]
    for server_id in (again, other):
        _gone(client, server_id)
    client.delete(f"{V3}/volumes/{volume}")
    client.wait_block_gone(f"volumes/{volume}")
    _drop(client, image_id, snapshots)
    wait_for_rest(cloud)


def _drop(client: Client, image_id: str, snapshots: dict[str, dict[str, Any]]) -> None:
    assert client.delete(f"/image/v2/images/{image_id}").status_code == 204
    for one in snapshots.values():
        assert client.delete(f"{V3}/snapshots/{one['id']}").status_code == 202
    wait_for(lambda: not _snapshots(client, list(snapshots)), "no snapshot is left", 20)


@pytest.mark.contract("N-SNAPSHOT")
def test_when_one_snapshot_fails_none_is_left(cloud: Cloud, client: Client, server: str) -> None:
    root, data = _volumes(client, server)
    for node in cloud.volume_agents.values():
        order(node.faults, "agent.create_snapshot.begin", server_id=data)
    image_id = client.act(server, "createImage", name="broken").json()["image_id"]
    wait_for(lambda: client.show_image(image_id)["status"] == "gone", "no image", 20)
    wait_for_rest(cloud)
    assert _snapshots(client, [root, data]) == []
    assert (client.show(server) or {})["status"] == "ACTIVE"
    assert not [path for name in cloud.volume_agents for path in
                (cloud.directory / name / "volume" / "fake").glob("*/snapshots/*")]


@pytest.mark.contract("N-REBUILD")
def test_a_rebuild_gives_the_boot_volume_the_image_and_keeps_the_others(cloud: Cloud, client: Client,
                                                                        server: str) -> None:
    root, data = _volumes(client, server)
    new = client.make_image("other", b"\7" * 1048576)
    before = {volume_id: _content(cloud, volume_id) for volume_id in (root, data)}
    answer = client.act(server, "rebuild", "2.92", imageRef=new)
    assert answer.status_code == 400 and "different image for a volume-backed server" in answer.text
    for stopped in (False, True):
        if stopped:
            assert client.act(server, "os-stop").status_code == 202
            client.wait_server(server, "SHUTOFF")
        answer = client.act(server, "rebuild", imageRef=new)
        assert answer.status_code == 202, answer.text
        assert answer.json()["server"]["image"] == ""
        assert client.wait_server(server, "SHUTOFF" if stopped else "ACTIVE")["image"] == ""
        wait_for_rest(cloud)
    assert _volumes(client, server) == [root, data]
    shown = wait_volume(client, root, "in-use")
    assert (shown["volume_image_metadata"]["image_id"], shown["bootable"]) == (new, "true")
    reimaged = client.post(f"{V3}/volumes", {"volume": {"size": 1, "imageRef": new}}).json()["volume"]["id"]
    wait_volume(client, reimaged, "available")
    assert _content(cloud, root) == _content(cloud, reimaged) != before[root]
    assert _content(cloud, data) == before[data]
    client.delete(f"{V3}/volumes/{reimaged}")
    client.wait_block_gone(f"volumes/{reimaged}")


@pytest.mark.contract("N-REBUILD")
@pytest.mark.parametrize("step", ["reimage_volume.begin", "reimage_volume.end", "disconnect_volume.begin",
                                  "connect_volume.end"])
def test_a_rebuild_whose_volume_fails_is_in_error_and_the_next_one_heals_it(cloud: Cloud, client: Client, server: str,
                                                                          step: str) -> None:
    root = _volumes(client, server)[0]
    new = client.make_image("other", b"\7" * 1048576)
    for node in cloud.volume_agents.values():
        order(node.faults, f"agent.{step}", server_id=root)
    assert client.act(server, "rebuild", imageRef=new).status_code == 202
    client.wait_server(server, "ERROR")
    wait_volume(client, root, "in-use")
    assert client.act(server, "rebuild", imageRef=new).status_code == 202
    client.wait_server(server, "ACTIVE")
    wait_for_rest(cloud)
    assert wait_volume(client, root, "in-use")["volume_image_metadata"]["image_id"] == new


@pytest.mark.contract("N-REBUILD")
def test_an_image_that_the_boot_volume_cannot_hold_is_refused(client: Client, server: str) -> None:
    for name, value, said in (("min_disk", 3, "minDisk size 3GB"), ("min_ram", 10 ** 6, "memory is too small")):
        image_id = client.make_image("large", b"\6" * 1024)
        changes = [{"op": "replace", "path": f"/{name}", "value": value}]
        client.request("PATCH", f"/image/v2/images/{image_id}", json=changes, headers={
            "Content-Type": "application/openstack-images-v2.1-json-patch"}).raise_for_status()
        answer = client.act(server, "rebuild", imageRef=image_id)
        assert answer.status_code == 400 and said in answer.text, answer.text
    assert (client.show(server) or {})["status"] == "ACTIVE"


@pytest.mark.contract("N-SNAPSHOT")
def test_without_quota_for_all_snapshots_nothing_is_made(client: Client, server: str) -> None:
    path = f"{V3}/os-quota-sets/{client.project_id}"
    assert client.request("PUT", path, json={"quota_set": {"snapshots": 1}}).ok
    answer = client.act(server, "createImage", name="too much")
    assert client.delete(path).ok
    assert answer.status_code == 403 and "quota 'snapshots'" in answer.text, answer.text
    assert _snapshots(client, _volumes(client, server)) == []
    assert client.get("/image/v2/images?name=too%20much").json()["images"] == []


@pytest.mark.contract("N-BACKUP")
def test_a_server_on_a_volume_has_no_backups(client: Client, server: str) -> None:
    answer = client.act(server, "createBackup", name="b", backup_type="daily", rotation=1)
    assert answer.status_code == 400 and "not supported for volume-backed instances" in answer.text


@pytest.mark.parametrize(("mapping", "said"), [
    ("[", "not JSON"), ("{}", "not a list"), ("[1]", "not a list"), ('[{"source_type": "x"}]', "unknown source"),
    ('[{"source_type": "snapshot", "snapshot_id": "..", "boot_index": 0}]', "not a UUID"),
    ('[{"source_type": "snapshot", "snapshot_id": 5, "boot_index": 0}]', "not a UUID"),
    ('[{"source_type": "snapshot", "boot_index": "0"}]', "not a number"),
    ('[{"source_type": "snapshot", "boot_index": 0, "device_name": 7}]', "not a string"),
    ('[{"source_type": "snapshot", "destination_type": "local"}]', "local disk"),
    ('[{"source_type": "snapshot", "boot_index": 0}]', "Missing device UUID"),
    ('[{"source_type": "snapshot", "snapshot_id": "8d32bb77-5e2d-4c30-9d7e-0d5a4c6d8f11", "boot_index": 0}]',
     "could not be found")])
def test_an_image_that_names_nonsense_is_refused(client: Client, image: str, mapping: str, said: str) -> None:
    wanted = {"name": "nonsense", "disk_format": "raw", "container_format": "bare", "block_device_mapping": mapping,
              "bdm_v2": "True"}
    made = client.post("/image/v2/images", wanted).json()["id"]
    client.request("PUT", f"/image/v2/images/{made}/file", data=b"\0" * 512,
                   headers={"Content-Type": "application/octet-stream"}).raise_for_status()
    answer = client.post(SERVERS, client.server_body(made, "x"))
    assert answer.status_code == 400 and said in answer.text, answer.text
