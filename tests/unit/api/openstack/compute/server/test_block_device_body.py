"""Disks of new servers: which arrangements make sense, in both forms of the body, and what is written for them."""

from __future__ import annotations

from typing import Any

import pytest

from api.core.server import device_names
from api.core.server.block_devices import BlockDevice, arrange
from api.openstack.compute.server import block_device_body
from hostler import errors
from hostler.db.models import Lock, Server, Volume, VolumeAttachment
from hostler.resources.volume import states as volume_states
from tests.harness.compute_rest import IMAGE, OTHER, Cloud, make_volume, rows

# Fixed, since they are in the names of tests: each worker must find the same.
A, B = "5b1f0b6e-8d3c-4f7e-9a52-0c6d1e2f3a41", "5b1f0b6e-8d3c-4f7e-9a52-0c6d1e2f3a42"


def volume(**more: Any) -> BlockDevice:
    return BlockDevice(**{"source": "volume", "destination": "volume", "id": A, **more})


def local(**more: Any) -> BlockDevice:
    return BlockDevice(**{"source": "image", "destination": "local", "id": IMAGE, **more})


@pytest.mark.parametrize(("devices", "image", "local_root", "order"), [
    ([], IMAGE, True, []), ([local(boot_index=0)], IMAGE, True, []),
    ([volume(boot_index=0)], None, False, [0]), ([volume(boot_index=0)], IMAGE, False, [0]),
    ([volume(), volume(id=B, boot_index=0)], None, False, [0, None]),
    ([volume(), local(boot_index=0)], IMAGE, True, [None]), ([volume(boot_index=1)], IMAGE, True, [1]),
    ([volume(boot_index=1), volume(id=B, boot_index=0)], None, False, [0, 1]),
    ([BlockDevice(source="blank", destination="volume", size_gib=1)], IMAGE, True, [None]),
    ([volume(source="blank", id=None, boot_index=0, size_gib=1)], None, False, [0]),
    ([BlockDevice(source="blank", destination="local", size_gib=2)], IMAGE, True, []),
    ([BlockDevice(source="blank", destination="local", guest_format="swap", size_gib=64)], IMAGE, True, [])])
def test_arrangements_that_make_sense(devices: list[BlockDevice], image: str | None, local_root: bool,
                                      order: list[int | None]) -> None:
    found = arrange(devices, image, ephemeral_gib=2, swap_mib=64)
    assert found.image_id == (IMAGE if local_root else None)
    assert [device.boot_index for device in found.volumes] == order
    assert all(device.boot_index != 0 for device in found.volumes) == local_root


@pytest.mark.parametrize(("devices", "image", "words"), [
    ([], None, "Boot sequence"), ([volume()], None, "Boot sequence"), ([volume(boot_index=1)], None, "Boot sequence"),
    ([volume(boot_index=0), volume(id=B, boot_index=0)], None, "Boot sequence"),
    ([volume(boot_index=0), volume(id=B, boot_index=2)], None, "Boot sequence"),
    ([local(boot_index=0), volume(boot_index=0)], IMAGE, "Boot sequence"),
    ([local(boot_index=1)], IMAGE, "Mapping image to local"), ([local(boot_index=0)], A, "Mapping image to local"),
    ([local(), local()], IMAGE, "Mapping image to local"), ([local()], IMAGE, "Mapping image to local"),
    ([local(boot_index=0)], None, "Mapping image to local"), ([volume(id=None, boot_index=0)], None, "Missing device"),
    ([volume(source="image", boot_index=0)], None, "non-zero size"),
    ([volume(boot_index=0, volume_type="fast")], None, "volume_type"),
    ([BlockDevice(source="blank", destination="local", size_gib=3)], IMAGE, "Ephemeral"),
    ([BlockDevice(source="blank", destination="local", guest_format="swap", size_gib=3)], IMAGE, "Swap"),
    ([BlockDevice(source="blank", destination="local", boot_index=0)], None, "Boot sequence")])
def test_arrangements_that_make_none(devices: list[BlockDevice], image: str | None, words: str) -> None:
    with pytest.raises(errors.Invalid, match=words):
        arrange(devices, image, ephemeral_gib=2, swap_mib=64)


def test_both_forms_of_the_body() -> None:
    assert block_device_body.devices({"block_device_mapping_v2": [
        {"source_type": "snapshot", "uuid": A, "boot_index": "0", "volume_size": "3", "delete_on_termination": "True"},
        {"source_type": "volume", "volume_id": B.replace("-", ""), "boot_index": -1},
        {"no_device": True, "device_name": "vdc"}]}) == [
        BlockDevice(source="snapshot", destination="volume", id=A, boot_index=0, size_gib=3,
                    delete_on_termination=True),
        BlockDevice(source="volume", destination="volume", id=B)]
    assert block_device_body.devices({"block_device_mapping": [
        {"device_name": "vda", "volume_id": A, "delete_on_termination": "1"}, {"snapshot_id": B, "volume_size": "2"}]}
        ) == [BlockDevice(source="volume", destination="volume", id=A, boot_index=0, device_name="vda",
                          delete_on_termination=True),
              BlockDevice(source="snapshot", destination="volume", id=B, size_gib=2)]
    for body, words in (({"block_device_mapping": [{"volume_id": A}], "block_device_mapping_v2": [{}]}, "syntaxes"),
                        ({"block_device_mapping_v2": [{"uuid": A}]}, "source_type"),
                        ({"block_device_mapping_v2": [{"source_type": "volume", "destination_type": "local"}]},
                         "local"),
                        ({"block_device_mapping_v2": [{"source_type": "volume", "uuid": "x"}]}, "UUID"),
                        ({"block_device_mapping": [{"device_name": "vda"}]}, "names no volume"),
                        ({"block_device_mapping_v2": [{"source_type": "blank", "volume_size": "99999999999"}]},
                         "volume_size"),
                        ({"block_device_mapping_v2": [{"source_type": "blank", "boot_index": "9" * 9}]}, "boot_index")):
        with pytest.raises(errors.Invalid, match=words):
            block_device_body.devices(body)


def test_names_of_disks() -> None:
    used = device_names.local_names(ephemeral_gib=1, swap_mib=0)
    assert used == {"vda", "vdb", "vdz"}
    assert device_names.choose(None, used) == device_names.choose("/dev/sdb", used) == "vdc"
    assert device_names.choose("/dev/vde", used) == device_names.choose("vde", used) == "vde"
    with pytest.raises(errors.Conflict, match="/dev/vdb"):
        device_names.choose("vdb", used)
    with pytest.raises(errors.Forbidden, match="26"):
        device_names.choose(None, {f"vd{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"})


def boot(cloud: Cloud, *devices: dict[str, Any], version: str = "2.96", **more: Any) -> Any:
    """POST a server without an image."""
    return cloud.call("POST", "/servers", {"server": {
        "name": "bfv", "flavorRef": "1", "networks": "auto", "block_device_mapping_v2": list(devices), **more}},
        version=version)


def test_everything_is_accepted_in_one_operation(cloud: Cloud) -> None:
    old = make_volume(cloud)
    answer = boot(cloud, {"source_type": "image", "destination_type": "volume", "uuid": IMAGE, "boot_index": 0,
                          "volume_size": 3, "delete_on_termination": True},
                  {"source_type": "volume", "uuid": old, "device_name": "/dev/vdf", "tag": "data"})
    assert answer.status_code == 202, answer.text
    server_id = answer.json["server"]["id"]
    attachments = {row.device: row for row in rows(cloud, VolumeAttachment)}
    assert set(attachments) == {"vda", "vdf"}
    new = attachments["vda"].volume_id
    assert (attachments["vda"].boot_index, attachments["vda"].delete_on_termination) == (0, True)
    assert (attachments["vdf"].volume_id, attachments["vdf"].tag, attachments["vdf"].state) == (old, "data", "reserved")
    made = next(row for row in rows(cloud, Volume) if row.id == new)
    assert (made.state, made.size_gib, made.image_id, made.bootable) == ("creating", 3, IMAGE, True)
    [operation] = cloud.operations(server_id)
    assert operation.arguments["volumes"] and operation.arguments["sources"] == {new: "image"}
    assert {lock.resource_id for lock in rows(cloud, Lock)} == {server_id, old, new}
    [server] = rows(cloud, Server)
    assert server.image_id is None and server.image_properties["image_id"] == IMAGE
    shown = cloud.get(f"/servers/{server_id}")["server"]
    assert shown["image"] == "" and shown["os-extended-volumes:volumes_attached"] == [
        {"id": new, "delete_on_termination": True}, {"id": old, "delete_on_termination": False}]
    listed = cloud.get("/servers/detail", version="2.2")["servers"][0]["os-extended-volumes:volumes_attached"]
    assert listed == [{"id": new}, {"id": old}]


@pytest.mark.parametrize(("values", "status", "words"), [
    ({"project_id": OTHER}, 400, "failed to get volume"), ({"state": volume_states.ERROR}, 400, "status must be"),
    ({"bootable": False}, 400, "not bootable"), ({"state": volume_states.CREATING}, 400, "status must be")])
def test_volumes_that_cannot_be_booted_from(cloud: Cloud, values: dict[str, Any], status: int, words: str) -> None:
    answer = boot(cloud, {"source_type": "volume", "uuid": make_volume(cloud, **values), "boot_index": 0})
    assert answer.status_code == status and words in answer.text
    assert not rows(cloud, Server) and not rows(cloud, VolumeAttachment) and not rows(cloud, Lock)


def test_a_volume_is_for_one_server_of_a_request(cloud: Cloud) -> None:
    device = {"source_type": "volume", "uuid": make_volume(cloud), "boot_index": 0}
    assert boot(cloud, device, max_count=2).status_code == 400
    assert boot(cloud, device).status_code == 202
    again = boot(cloud, device)
    assert again.status_code == 409 and "locked" in again.text


def test_several_servers_count_all_their_volumes(cloud: Cloud) -> None:
    cloud.services.conf.set_override("volumes", 3, group="quota")
    device = {"source_type": "image", "destination_type": "volume", "uuid": IMAGE, "boot_index": 0, "volume_size": 1}
    over = boot(cloud, device, min_count=4, max_count=4)
    assert over.status_code == 403 and "volumes" in over.text and not rows(cloud, Server)
    assert boot(cloud, device, min_count=3, max_count=3).status_code == 202
    assert len(rows(cloud, Volume)) == 3 and len(rows(cloud, VolumeAttachment)) == 3


def test_what_versions_know(cloud: Cloud) -> None:
    device = {"source_type": "image", "destination_type": "volume", "uuid": IMAGE, "boot_index": 0, "volume_size": 1}
    assert boot(cloud, {**device, "volume_type": "x"}, version="2.66", networks=[]).status_code == 400
    unknown = boot(cloud, {**device, "volume_type": "x"}, version="2.67")
    assert unknown.status_code == 400 and "x" in unknown.text
    shared = make_volume(cloud, multiattach=True)
    old = boot(cloud, {"source_type": "volume", "uuid": shared, "boot_index": 0}, version="2.59")
    assert old.status_code == 400 and "2.60" in old.text
    assert boot(cloud, {"source_type": "volume", "uuid": shared, "boot_index": 0}, version="2.60").status_code == 202


def test_the_old_form(cloud: Cloud) -> None:
    volume_id = make_volume(cloud)
    answer = cloud.call("POST", "/servers", {"server": {
        "name": "old", "flavorRef": "1", "networks": "auto",
        "block_device_mapping": [{"device_name": "vda", "volume_id": volume_id, "delete_on_termination": False}]}})
    assert answer.status_code == 202, answer.text
    [attachment] = rows(cloud, VolumeAttachment)
    assert (attachment.volume_id, attachment.device, attachment.boot_index) == (volume_id, "vda", 0)


def test_a_zone_with_storage_only_is_none_for_servers(cloud: Cloud) -> None:
    answer = cloud.call("POST", "/servers", {"server": {"name": "n", "flavorRef": "1", "imageRef": IMAGE,
                                                        "networks": "auto", "availability_zone": "elsewhere"}})
    assert answer.status_code == 400 and "availability zone" in answer.text
