"""Servers and their volumes, as a user sees both, on fake hosts and storage nodes: attach, detach, boot, delete."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.harness import invariants
from tests.harness.client import Client
from tests.harness.inprocess import Cloud
from tests.harness.ports import wait_for
from tests.harness.volume_words import (
    V3,
    attach,
    detach,
    make_volume,
    order,
    show_volume,
    stored,
    volume_faults,
    wait_for_rest,
    wait_volume,
)

SERVERS = "/compute/v2.1/servers"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cloud, Client]]:
    cloud = Cloud(tmp_path_factory.mktemp("cloud"), hosts=2, overrides={"volume.detach_timeout": 1})
    client = cloud.start()
    try:
        yield cloud, client
    finally:
        cloud.stop()


@pytest.fixture(autouse=True)
def no_faults_left(cloud: Cloud) -> Iterator[None]:
    yield
    for agent in cloud.agents.values():
        agent.tools.driver.faults.clear()
    for node in cloud.volume_agents.values():
        node.faults.clear()


@pytest.fixture
def server(client: Client, image: str) -> Iterator[str]:
    server_id = client.create_server(image, "has-volumes")
    client.wait_server(server_id, "ACTIVE")
    yield server_id
    client.delete(f"{SERVERS}/{server_id}")
    client.wait_gone(server_id)


@pytest.fixture
def volume(client: Client) -> Iterator[str]:
    volume_id = make_volume(client)
    yield volume_id
    if show_volume(client, volume_id):
        wait_volume(client, volume_id, "available")
        assert client.delete(f"{V3}/volumes/{volume_id}").status_code == 202


def device(volume_id: str | None = None, **more: Any) -> dict[str, Any]:
    """Return a block device mapping to a volume."""
    return {"uuid": volume_id, "source_type": "volume", "destination_type": "volume", **more} if volume_id else {
        "destination_type": "volume", **more}


def boot(client: Client, *devices: dict[str, Any], image: str = "", **more: Any) -> Any:
    """Ask for a server with devices; returns the response."""
    return client.post(SERVERS, client.server_body(image, "bfv", block_device_mapping_v2=list(devices), **more))


def booted(client: Client, *devices: dict[str, Any], image: str = "", **more: Any) -> str:
    """Return the id of a server with devices that runs."""
    answer = boot(client, *devices, image=image, **more)
    assert answer.status_code == 202, answer.text
    server_id = str(answer.json()["server"]["id"])
    client.wait_server(server_id, "ACTIVE")
    return server_id


def volumes_of(client: Client, server_id: str) -> list[dict[str, Any]]:
    """Return what is attached, as the server shows it."""
    shown: list[dict[str, Any]] = (client.show(server_id) or {})["os-extended-volumes:volumes_attached"]
    return shown


def gone(client: Client, server_id: str) -> None:
    """Delete a server and wait."""
    assert client.delete(f"{SERVERS}/{server_id}").status_code == 204
    client.wait_gone(server_id)


@pytest.mark.contract("N-REBOOT")
def test_attach_shows_on_both_sides_outlives_reboots_and_detach_frees(
        cloud: Cloud, client: Client, server: str, volume: str) -> None:
    answer = attach(client, server, volume, tag="data")
    assert answer.status_code == 200, answer.text
    shown = answer.json()["volumeAttachment"]
    assert shown == {"id": volume, "volumeId": volume, "serverId": server, "device": "/dev/vdb", "tag": "data",
                     "delete_on_termination": False}
    there = wait_volume(client, volume, "in-use")
    assert [(one["server_id"], one["device"]) for one in there["attachments"]] == [(server, "/dev/vdb")]
    assert volumes_of(client, server) == [{"id": volume, "delete_on_termination": False}]
    listed = client.get(f"{SERVERS}/{server}/os-volume_attachments").json()["volumeAttachments"]
    assert [(one["volumeId"], one["attachment_id"]) for one in listed] == [
        (volume, there["attachments"][0]["attachment_id"])]
    wait_for_rest(cloud)
    for action, status in (({"reboot": {"type": "HARD"}}, "ACTIVE"), ({"os-stop": None}, "SHUTOFF"),
                           ({"os-start": None}, "ACTIVE")):
        assert client.post(f"{SERVERS}/{server}/action", action).status_code == 202
        client.wait_server(server, status)
        wait_for_rest(cloud)
    assert detach(client, server, volume).status_code == 202
    wait_volume(client, volume, "available")
    assert volumes_of(client, server) == []
    wait_for_rest(cloud)
    actions = client.get(f"{SERVERS}/{server}/os-instance-actions").json()["instanceActions"]
    assert {"attach_volume", "detach_volume"} <= {action["action"] for action in actions}


def test_a_server_that_is_off_gets_a_volume_and_gives_it_back(cloud: Cloud, client: Client, server: str,
                                                              volume: str) -> None:
    client.post(f"{SERVERS}/{server}/action", {"os-stop": None})
    client.wait_server(server, "SHUTOFF")
    assert attach(client, server, volume, device="/dev/vdd").json()["volumeAttachment"]["device"] == "/dev/vdd"
    wait_volume(client, volume, "in-use")
    wait_for_rest(cloud)
    assert detach(client, server, volume).status_code == 202
    wait_volume(client, volume, "available")
    wait_for_rest(cloud)


def test_what_cannot_be_attached_or_detached(client: Client, server: str, volume: str, image: str) -> None:
    nowhere = "0" * 8 + "-0000-4000-8000-" + "0" * 12
    assert attach(client, server, nowhere).status_code == 404
    assert attach(client, nowhere, volume).status_code == 404
    assert attach(client, server, volume, device="/dev/vda").status_code == 409
    assert detach(client, server, volume).status_code == 404
    assert attach(client, server, volume).status_code == 200
    wait_volume(client, volume, "in-use")
    again = attach(client, server, volume)
    assert again.status_code == 400 and "already attached" in again.text
    other = client.create_server(image, "other")
    client.wait_server(other, "ACTIVE")
    refused = attach(client, other, volume)
    assert refused.status_code == 400 and "status must be available" in refused.text
    gone(client, other)
    client.post(f"{SERVERS}/{server}/action", {"suspend": None})
    client.wait_server(server, "SUSPENDED")
    assert detach(client, server, volume).status_code == 409
    client.post(f"{SERVERS}/{server}/action", {"resume": None})
    client.wait_server(server, "ACTIVE")
    assert detach(client, server, volume).status_code == 202
    wait_volume(client, volume, "available")


def test_a_guest_that_holds_on_keeps_its_volume_and_gives_it_back_later(
        cloud: Cloud, client: Client, server: str, volume: str) -> None:
    attach(client, server, volume)
    wait_volume(client, volume, "in-use")
    for agent in cloud.agents.values():
        order(agent.tools.driver.faults, "driver.detach_volume:guest", times=0)
    assert detach(client, server, volume).status_code == 202
    wait_for_rest(cloud)
    assert show_volume(client, volume)["status"] == "in-use"  # type: ignore[index]
    assert [one["id"] for one in volumes_of(client, server)] == [volume]
    actions = client.get(f"{SERVERS}/{server}/os-instance-actions").json()["instanceActions"]
    failed = next(action for action in actions if action["action"] == "detach_volume")
    detail = client.get(f"{SERVERS}/{server}/os-instance-actions/{failed['request_id']}").json()["instanceAction"]
    assert "did not let go" in str(detail["message"]) + str(detail["events"])
    for agent in cloud.agents.values():
        agent.tools.driver.faults.clear()
    assert detach(client, server, volume).status_code == 202
    wait_volume(client, volume, "available")
    wait_for_rest(cloud)


@pytest.mark.parametrize(("part", "step"), [
    ("node", "volume.connect:before"), ("node", "volume.connect:after"), ("host", "volume.resolve"),
    ("host", "attach.connection"), ("host", "attach.spec"), ("host", "attach.plug"), ("host", "attach.end"),
    ("host", "driver.attach_volume:before"), ("host", "driver.attach_volume:after")])
def test_an_attach_that_fails_leaves_nothing(cloud: Cloud, client: Client, server: str, volume: str, part: str,
                                             step: str) -> None:
    for faults in faults_of(cloud, part):
        order(faults, step)
    assert attach(client, server, volume).status_code == 200
    wait_volume(client, volume, "available")
    assert volumes_of(client, server) == []
    assert client.show(server)["status"] == "ACTIVE"  # type: ignore[index]
    wait_for_rest(cloud)


@pytest.mark.parametrize(("part", "step", "ends"), [
    ("host", "detach.unplug", "in-use"), ("host", "driver.detach_volume:before", "in-use"),
    ("host", "driver.detach_volume:after", "in-use"), ("host", "detach.spec", "in-use"),
    ("node", "volume.disconnect:before", "in-use"), ("node", "volume.disconnect:after", "in-use")])
def test_a_detach_that_fails_leaves_both_sides_attached(cloud: Cloud, client: Client, server: str, volume: str,
                                                        part: str, step: str, ends: str) -> None:
    attach(client, server, volume)
    wait_volume(client, volume, "in-use")
    for faults in faults_of(cloud, part):
        order(faults, step)
    assert detach(client, server, volume).status_code == 202
    wait_for_operations(cloud)
    assert wait_volume(client, volume, ends)
    for faults in faults_of(cloud, part):
        faults.clear()
    assert detach(client, server, volume).status_code == 202
    wait_volume(client, volume, "available")
    wait_for_rest(cloud)


def faults_of(cloud: Cloud, part: str) -> list[Any]:
    """Return where faults of hosts or of storage nodes are ordered."""
    if part == "node":
        return [node.faults for node in cloud.volume_agents.values()]
    return [agent.tools.driver.faults for agent in cloud.agents.values()]


def wait_for_operations(cloud: Cloud) -> None:
    """Wait until no operation is left, whatever it left."""
    wait_for(lambda: not [fault for fault in invariants.database_faults(cloud.db) if "operation" in fault], "the end")


@pytest.mark.contract("N-BOOT")
def test_boot_from_an_image_on_a_new_volume_that_goes_with_the_server(cloud: Cloud, client: Client,
                                                                      image: str) -> None:
    server_id = booted(client, device(uuid=image, source_type="image", boot_index=0, volume_size=2,
                                      delete_on_termination=True))
    shown = client.show(server_id)
    assert shown is not None and shown["image"] == ""
    [(volume_id, doomed)] = [(one["id"], one["delete_on_termination"]) for one in volumes_of(client, server_id)]
    assert doomed
    made = wait_volume(client, volume_id, "in-use")
    assert (made["size"], made["bootable"], made["attachments"][0]["device"]) == (2, "true", "/dev/vda")
    assert made["volume_image_metadata"]["image_id"] == image
    wait_for_rest(cloud)
    refused = detach(client, server_id, volume_id)
    assert refused.status_code == 400 and "root" in refused.text
    gone(client, server_id)
    assert show_volume(client, volume_id) is None
    wait_for_rest(cloud)


@pytest.mark.contract("N-BOOT", "N-DELETE")
def test_boot_from_a_volume_and_from_its_snapshot(cloud: Cloud, client: Client, image: str) -> None:
    root = make_volume(client, imageRef=image)
    server_id = booted(client, device(root, boot_index=0))
    assert [one["id"] for one in volumes_of(client, server_id)] == [root]
    wait_for_rest(cloud)
    gone(client, server_id)
    wait_volume(client, root, "available")
    made = client.post(f"{V3}/snapshots", {"snapshot": {"volume_id": root}})
    assert made.status_code == 202, made.text
    snapshot_id = made.json()["snapshot"]["id"]
    wait_snapshot(client, snapshot_id)
    server_id = booted(client, device(uuid=snapshot_id, source_type="snapshot", boot_index=0),
                       device(source_type="blank", volume_size=3, delete_on_termination=True))
    first, second = volumes_of(client, server_id)
    wait_for_rest(cloud)
    gone(client, server_id)
    assert wait_volume(client, first["id"], "available")["snapshot_id"] == snapshot_id
    assert show_volume(client, second["id"]) is None
    client.delete(f"{V3}/volumes/{first['id']}")
    client.delete(f"{V3}/snapshots/{snapshot_id}")
    wait_absent(client, f"{V3}/snapshots/{snapshot_id}")
    client.delete(f"{V3}/volumes/{root}")
    wait_absent(client, f"{V3}/volumes/{root}")
    wait_for_rest(cloud)


def wait_snapshot(client: Client, snapshot_id: str) -> None:
    """Wait until a snapshot is there."""
    wait_for(lambda: client.get(f"{V3}/snapshots/{snapshot_id}").json()["snapshot"]["status"] == "available",
             "the snapshot")


def wait_absent(client: Client, path: str) -> None:
    """Wait until something is gone."""
    wait_for(lambda: client.get(path).status_code == 404, f"{path} to be gone")


def test_an_image_on_the_local_disk_with_volumes_beside_it(cloud: Cloud, client: Client, image: str,
                                                           volume: str) -> None:
    server_id = booted(
        client, {"uuid": image, "source_type": "image", "destination_type": "local", "boot_index": 0}, device(volume),
        device(source_type="blank", volume_size=1, delete_on_termination=True), image=image)
    assert client.show(server_id)["image"]["id"] == image  # type: ignore[index]
    listed = client.get(f"{SERVERS}/{server_id}/os-volume_attachments").json()["volumeAttachments"]
    assert sorted(one["device"] for one in listed) == ["/dev/vdb", "/dev/vdc"]
    assert client.request("PUT", f"{SERVERS}/{server_id}/os-volume_attachments/{volume}", json={
        "volumeAttachment": {"volumeId": volume, "delete_on_termination": True}}).status_code == 202
    assert client.request("PUT", f"{SERVERS}/{server_id}/os-volume_attachments/{volume}", json={
        "volumeAttachment": {"volumeId": listed[1]["volumeId"] if listed[0]["volumeId"] == volume
                             else listed[0]["volumeId"]}}).status_code == 501
    gone(client, server_id)
    assert all(show_volume(client, one["volumeId"]) is None for one in listed)
    wait_for_rest(cloud)


def test_a_server_may_have_an_empty_root_volume(client: Client, cloud: Cloud) -> None:
    server_id = booted(client, device(source_type="blank", volume_size=1, boot_index=0, delete_on_termination=True))
    [volume] = volumes_of(client, server_id)
    assert (show_volume(client, volume["id"]) or {})["bootable"] == "false"
    assert (client.show(server_id) or {})["image"] == ""
    gone(client, server_id)
    wait_for_rest(cloud)


def test_several_servers_each_with_a_volume_of_its_own(cloud: Cloud, client: Client, image: str) -> None:
    answer = boot(client, device(uuid=image, source_type="image", boot_index=0, volume_size=1,
                                 delete_on_termination=True), min_count=3, max_count=3, return_reservation_id=True)
    assert answer.status_code == 202, answer.text
    found = client.get(f"{SERVERS}?reservation_id={answer.json()['reservation_id']}").json()["servers"]
    assert len(found) == 3
    volumes = set()
    for one in found:
        client.wait_server(one["id"], "ACTIVE")
        volumes |= {each["id"] for each in volumes_of(client, one["id"])}
    assert len(volumes) == 3
    wait_for_rest(cloud)
    for one in found:
        gone(client, one["id"])
    wait_for_rest(cloud)
    assert not volumes & stored(cloud)[0].keys()


@pytest.mark.parametrize(("part", "step", "times"), [
    ("node", "volume.create_volume:before", 0), ("node", "volume.connect:before", 0),
    ("node", "volume.connect:after", 0), ("host", "driver.create:before", 0), ("host", "driver.create:after", 0),
    ("host", "volume.resolve", 0)])
def test_a_boot_with_volumes_that_fails_leaves_nothing(cloud: Cloud, client: Client, image: str, volume: str,
                                                       part: str, step: str, times: int) -> None:
    before = stored(cloud)[0].keys()
    for faults in faults_of(cloud, part):
        order(faults, step, times=times)
    answer = boot(client, device(uuid=image, source_type="image", boot_index=0, volume_size=1), device(volume))
    server_id = answer.json()["server"]["id"]
    shown = client.wait_server(server_id, "ERROR")
    assert "told to fail" in shown["fault"]["message"]
    assert shown["os-extended-volumes:volumes_attached"] == []
    for faults in faults_of(cloud, part):
        faults.clear()
    wait_volume(client, volume, "available")
    wait_for_rest(cloud)
    assert stored(cloud)[0].keys() == before
    used = client.get(f"{V3}/limits").json()["limits"]["absolute"]
    assert used["totalVolumesUsed"] == len(client.get(f"{V3}/volumes").json()["volumes"])
    gone(client, server_id)


def test_one_failed_host_is_no_failure(cloud: Cloud, client: Client, image: str) -> None:
    order(cloud.agents["host1"].tools.driver.faults, "driver.create:before", times=0)
    server_id = booted(client, device(uuid=image, source_type="image", boot_index=0, volume_size=1,
                                      delete_on_termination=True))
    assert client.show(server_id)["OS-EXT-SRV-ATTR:host"] == "host2"  # type: ignore[index]
    assert volume_faults(cloud) == []
    gone(client, server_id)
    wait_for_rest(cloud)


@pytest.mark.parametrize(("part", "step"), [("node", "volume.create_volume:before"), ("host", "driver.create:before")])
def test_a_delete_while_the_boot_is_under_way_leaves_nothing(cloud: Cloud, client: Client, image: str, volume: str,
                                                             part: str, step: str) -> None:
    before = stored(cloud)[0].keys()
    for faults in faults_of(cloud, part):
        faults.passed.clear()
        order(faults, step, "slow", seconds=1.0)
    server_id = boot(client, device(uuid=image, source_type="image", boot_index=0, volume_size=1,
                                    delete_on_termination=True), device(volume)).json()["server"]["id"]
    wait_for(lambda: any(step in faults.passed for faults in faults_of(cloud, part)), "the step")
    gone(client, server_id)
    wait_volume(client, volume, "available")
    wait_for_rest(cloud)
    assert stored(cloud)[0].keys() == before


def test_a_delete_waits_for_who_works_on_a_volume(cloud: Cloud, client: Client, server: str, volume: str) -> None:
    attach(client, server, volume)
    wait_volume(client, volume, "in-use")
    for faults in faults_of(cloud, "node"):
        order(faults, "volume.extend_volume:before", "slow", seconds=1.0)
    extend = client.post(f"{V3}/volumes/{volume}/action", {"os-extend": {"new_size": 2}},
                         headers={"OpenStack-API-Version": "volume 3.42"})
    assert extend.status_code == 202, extend.text
    gone(client, server)
    assert wait_volume(client, volume, "available")["size"] == 2
    wait_for_rest(cloud)


def test_a_volume_that_cannot_be_removed_is_not_forgotten(cloud: Cloud, client: Client, image: str) -> None:
    server_id = booted(client, device(uuid=image, source_type="image", boot_index=0, volume_size=1,
                                      delete_on_termination=True))
    [volume_id] = [one["id"] for one in volumes_of(client, server_id)]
    for faults in faults_of(cloud, "node"):
        order(faults, "volume.delete_volume:before")
    gone(client, server_id)
    assert show_volume(client, volume_id)["status"] == "error_deleting"  # type: ignore[index]
    assert client.delete(f"{V3}/volumes/{volume_id}").status_code == 202
    wait_absent(client, f"{V3}/volumes/{volume_id}")
    wait_for_rest(cloud)


@pytest.mark.parametrize(("devices", "words"), [
    ([device(source_type="blank", volume_size=1)], "Boot sequence"),
    ([device(source_type="image", uuid="IMAGE", boot_index=0)], "non-zero size"),
    ([device(source_type="image", uuid="IMAGE", boot_index=1, volume_size=1)], "Boot sequence"),
    ([device("VOLUME", boot_index=0)], "not bootable"),
    ([device("0" * 8 + "-0000-4000-8000-" + "0" * 12, boot_index=0)], "failed to get volume"),
    ([device(source_type="image", uuid="IMAGE", boot_index=0, volume_size=1), device("VOLUME"), device("VOLUME")],
     "twice"),
    ([device(source_type="image", uuid="IMAGE", boot_index=0, volume_size=1, volume_type="none-such")], "none-such"),
    ([{"source_type": "blank", "destination_type": "local", "guest_format": "swap", "volume_size": 7},
      device(source_type="image", uuid="IMAGE", boot_index=0, volume_size=1)], "Swap"),
])
def test_devices_that_make_no_sense_are_refused_before_anything_is_made(
        cloud: Cloud, client: Client, image: str, volume: str, devices: list[dict[str, Any]], words: str) -> None:
    meant = [{key: {"IMAGE": image, "VOLUME": volume}.get(value, value) for key, value in one.items()}
             for one in devices]
    servers = client.get(SERVERS).json()["servers"]
    answer = boot(client, *meant)
    assert answer.status_code == 400 and words in answer.text, answer.text
    assert client.get(SERVERS).json()["servers"] == servers
    assert client.get(f"{V3}/volumes/{volume}").json()["volume"]["status"] == "available"
