"""What is done to a volume: accepted as an operation, or refused with its present status and those that would do."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from hostler import ids
from hostler.db.models import Backend, Image, QuotaLimit, Server, VolumeAttachment
from tests.harness.volume_core import DEMO, IMAGE, SECOND, USER, Cloud


def _accepted(cloud: Cloud, volume: str, action: str, argument: Any, kind: str, **options: Any) -> dict[str, Any]:
    answer = cloud.act(volume, action, argument, **options)
    assert answer.status_code == 202, answer.text
    operation = cloud.operations(volume)[-1]
    assert (operation.kind, operation.host, operation.state) == (kind, "volume@node1", "pending")
    assert cloud.waker.woken[-1] == operation.id
    return operation.arguments


def _refused(cloud: Cloud, volume: str, action: str, argument: Any = None, status: int = 400, **options: Any) -> str:
    before = len(cloud.waker.woken)
    message = cloud.refused("POST", f"/volumes/{volume}/action", {action: argument}, status=status, **options)
    assert len(cloud.waker.woken) == before
    return message


def test_extend(cloud: Cloud) -> None:
    volume = cloud.ready(size=2)
    assert _accepted(cloud, volume, "os-extend", {"new_size": 5}, "volume.extend") == {"size_gib": 5}
    row = cloud.row(volume)
    assert (row.size_gib, row.claimed_gib) == (2, 5)
    assert cloud.get(f"/volumes/{volume}")["volume"]["status"] == "extending"
    assert "locked" in _refused(cloud, volume, "os-extend", {"new_size": 6}, 409)


def test_extend_only_to_more_and_within_quota(cloud: Cloud) -> None:
    volume = cloud.ready(size=2)
    for size in (1, 2):
        message = _refused(cloud, volume, "os-extend", {"new_size": size})
        assert f"(current: 2, extended: {size})" in message
    for size in (0, -1, "x", None, 2 ** 40, 1.5):
        _refused(cloud, volume, "os-extend", {"new_size": size})
    cloud.add(QuotaLimit(project_id=DEMO, resource="gigabytes", hard_limit=5))
    message = _refused(cloud, volume, "os-extend", {"new_size": 6}, 413)
    assert "Requested 4G, quota is 5G and 2G has been consumed" in message
    cloud.settle(volume, state="error")
    assert "status must be available or in-use, but current status is: error" in _refused(
        cloud, volume, "os-extend", {"new_size": 3})
    assert cloud.row(volume).claimed_gib == 2


def test_extend_only_where_the_back_end_has_room(cloud: Cloud) -> None:
    volume = cloud.ready(size=2)
    cloud.services.db.write(lambda session: session.execute(sa.update(Backend).values(
        total_gib=5.0, free_gib=5.0, over_subscription=1.0)))
    assert "has no room for 6 GiB" in _refused(cloud, volume, "os-extend", {"new_size": 6}, 409)
    assert cloud.row(volume).claimed_gib == 2
    _accepted(cloud, volume, "os-extend", {"new_size": 5}, "volume.extend")


def test_extend_in_use_where_the_connection_can(cloud: Cloud) -> None:
    volume = cloud.ready()
    cloud.attach(volume, connection={"protocol": "file"})
    assert "status must be available, but current status is: in-use" in _refused(
        cloud, volume, "os-extend", {"new_size": 2}, version="3.41")
    _accepted(cloud, volume, "os-extend", {"new_size": 2}, "volume.extend", version="3.42")
    over_nbd = cloud.ready()
    cloud.attach(over_nbd, connection={"protocol": "nbd"})
    assert "QEMU cannot grow a disk that it reaches over NBD" in _refused(cloud, over_nbd, "os-extend", {"new_size": 2})


def test_extend_waits_for_whoever_copies_it(cloud: Cloud) -> None:
    volume = cloud.ready()
    heir = cloud.create(source_volid=volume)["id"]
    assert heir in _refused(cloud, volume, "os-extend", {"new_size": 2})


def test_retype(cloud: Cloud) -> None:
    cloud.volume_type("slow")
    fast = cloud.volume_type("fast")
    volume = cloud.ready(volume_type="slow")
    assert _accepted(cloud, volume, "os-retype", {"new_type": "fast", "migration_policy": "on-demand"},
                     "volume.retype") == {
                         "volume_type_id": fast, "migration_policy": "on-demand", "multiattach": False}
    other = cloud.ready(volume_type="slow")
    cloud.attach(other)
    assert "current status is: in-use" in _refused(
        cloud, other, "os-retype", {"new_type": "fast", "migration_policy": "on-demand"})
    assert _accepted(cloud, other, "os-retype", {"new_type": fast}, "volume.retype")["migration_policy"] == "never"


def test_retype_refuses(cloud: Cloud) -> None:
    cloud.volume_type("slow")
    cloud.volume_type("shared", extra_specs={"multiattach": "<is> True"})
    cloud.volume_type("secret", extra_specs={"encryption": "luks"})
    cloud.volume_type("far", extra_specs={"RESKEY:availability_zones": "north"})
    cloud.volume_type("full")
    cloud.add(QuotaLimit(project_id=DEMO, resource="volumes_full", hard_limit=0))
    volume = cloud.ready(volume_type="slow")
    assert "same as original" in _refused(cloud, volume, "os-retype", {"new_type": "slow"})
    assert "Invalid volume_type" in _refused(cloud, volume, "os-retype", {"new_type": "nothing"})
    assert "encryption" in _refused(cloud, volume, "os-retype", {"new_type": "secret"})
    assert "north" in _refused(cloud, volume, "os-retype", {"new_type": "far"})
    assert "volumes_full" in _refused(cloud, volume, "os-retype", {"new_type": "full"}, 413)
    cloud.attach(volume)
    assert "multiattach" in _refused(cloud, volume, "os-retype", {"new_type": "shared"})
    for wrong in ({}, {"new_type": None}, {"new_type": "x", "migration_policy": "always"}, None):
        _refused(cloud, volume, "os-retype", wrong)


def test_migrate(cloud: Cloud) -> None:
    volume = cloud.ready()
    _refused(cloud, volume, "os-migrate_volume", {"host": "node1@second#second"}, 403)
    admin = {"token": "admin"}
    for host in ("node1@local#local", "node1@local"):
        assert "already" in _refused(cloud, volume, "os-migrate_volume", {"host": host}, **admin)
    for host in ("nowhere", "node1@nothing#nothing", "node1", "@", "n" * 255):
        assert "No available service" in _refused(cloud, volume, "os-migrate_volume", {"host": host}, **admin)
    _refused(cloud, volume, "os-migrate_volume", {}, version="3.15", **admin)
    assert "clusters" in _refused(cloud, volume, "os-migrate_volume", {"cluster": "c"}, **admin)
    assert _accepted(cloud, volume, "os-migrate_volume", {"host": "node1@second#second", "force_host_copy": True},
                     "volume.migrate", **admin) == {"backend_id": SECOND}
    shown = cloud.get(f"/volumes/{volume}", **admin)["volume"]
    assert (shown["status"], shown["migration_status"]) == ("available", "migrating")
    anywhere = cloud.ready()
    assert _accepted(cloud, anywhere, "os-migrate_volume", {"host": None}, "volume.migrate", **admin) == {
        "backend_id": None}


def test_what_cannot_migrate(cloud: Cloud) -> None:
    volume = cloud.ready()
    cloud.snapshot(volume)
    assert "snapshots" in _refused(cloud, volume, "os-migrate_volume", {"host": None}, token="admin")
    attached = cloud.ready()
    cloud.attach(attached)
    assert "in-use" in _refused(cloud, attached, "os-migrate_volume", {"host": None}, token="admin")
    completion = {"new_volume": ids.new_id()}
    assert "by this cloud itself" in _refused(cloud, volume, "os-migrate_volume_completion", completion, token="admin")
    assert "by this cloud itself" in _refused(cloud, volume, "os-extend_volume_completion", {}, token="admin")


def test_revert(cloud: Cloud) -> None:
    volume = cloud.ready()
    assert "doesn't have any snapshots" in _refused(cloud, volume, "revert", {"snapshot_id": ids.new_id()})
    old, latest = cloud.snapshot(volume), cloud.snapshot(volume)
    assert "not the latest" in _refused(cloud, volume, "revert", {"snapshot_id": old})
    assert "not the latest" in _refused(cloud, volume, "revert", {})
    _refused(cloud, volume, "revert", {"snapshot_id": latest}, version="3.39")
    cloud.settle(volume, size_gib=2)
    assert "one size" in _refused(cloud, volume, "revert", {"snapshot_id": latest})
    cloud.settle(volume, size_gib=1, state="error")
    assert "it is error" in _refused(cloud, volume, "revert", {"snapshot_id": latest}, 409)
    cloud.settle(volume)
    assert _accepted(cloud, volume, "revert", {"snapshot_id": latest}, "volume.revert") == {"snapshot_id": latest}
    _refused(cloud, volume, "revert", {"snapshot_id": latest}, 409)


def test_readonly_and_bootable(cloud: Cloud) -> None:
    volume = cloud.ready()
    assert cloud.act(volume, "os-update_readonly_flag", {"readonly": "True"}).status_code == 202
    assert cloud.act(volume, "os-set_bootable", {"bootable": True}).status_code == 200
    shown = cloud.get(f"/volumes/{volume}")["volume"]
    assert (shown["bootable"], shown["metadata"]) == ("true", {"readonly": "True"})
    assert cloud.act(volume, "os-update_readonly_flag", {"readonly": False}).status_code == 202
    assert cloud.row(volume).readonly is False
    cloud.attach(volume)
    assert "in-use" in _refused(cloud, volume, "os-update_readonly_flag", {"readonly": True})
    for action, name in (("os-update_readonly_flag", "readonly"), ("os-set_bootable", "bootable")):
        for wrong in ({}, {name: "maybe"}, {name: None}, None, {name: True, "more": 1}):
            _refused(cloud, volume, action, wrong)


def test_an_administrator_sets_the_status(cloud: Cloud) -> None:
    volume = cloud.ready()
    admin = {"token": "admin"}
    _refused(cloud, volume, "os-reset_status", {"status": "error"}, 403)
    for status in ("error", "maintenance", "AVAILABLE", "error_extending"):
        assert cloud.act(volume, "os-reset_status", {"status": status}, **admin).status_code == 202
        assert cloud.get(f"/volumes/{volume}")["volume"]["status"] == status.lower()
    for wrong in ({}, {"status": None}, {"status": "deleted"}, {"status": "x"}, {"attach_status": "x"}, {"x": 1},
                  {"status": "in-use"}, {"attach_status": "attached"}, {"migration_status": "migrating"}, None):
        _refused(cloud, volume, "os-reset_status", wrong, **admin)
    detached = {"status": "available", "attach_status": "detached", "migration_status": "none"}
    assert cloud.act(volume, "os-reset_status", detached, **admin).status_code == 202
    cloud.attach(volume)
    assert "os-force_detach" in _refused(cloud, volume, "os-reset_status", {"attach_status": "detached"}, **admin)
    nowhere = cloud.ready()
    cloud.settle(nowhere, state="error", backend_id=None)
    assert "no back end" in _refused(cloud, nowhere, "os-reset_status", {"status": "available"}, **admin)
    busy = cloud.create()["id"]
    assert "locked" in _refused(cloud, busy, "os-reset_status", {"status": "error"}, 409, **admin)


def test_an_image_is_made_of_a_volume(cloud: Cloud) -> None:
    volume = cloud.ready(size=3, imageRef=IMAGE, volume_type=cloud.volume_type("fast"))
    answer = cloud.act(volume, "os-volume_upload_image", {
        "image_name": "mine", "disk_format": "qcow2", "container_format": "bare", "force": True,
        "visibility": "private", "protected": True})
    assert answer.status_code == 202
    shown = answer.json["os-volume_upload_image"]
    image_id = shown.pop("image_id")
    assert shown.pop("updated_at") and shown.pop("volume_type")["name"] == "fast"
    assert shown == {"id": volume, "status": "uploading", "display_description": None, "size": 3,
                     "container_format": "bare", "disk_format": "qcow2", "image_name": "mine",
                     "visibility": "private", "protected": True}
    operation = cloud.operations(volume)[-1]
    assert (operation.kind, operation.arguments) == (
        "volume.upload", {"image_id": image_id, "disk_format": "qcow2"})
    with cloud.services.db.reading() as session:
        image = session.get_one(Image, image_id)
        assert (image.status, image.project_id, image.visibility, image.protected, image.min_disk_gib,
                image.properties) == ("queued", DEMO, "private", True, 3, {"os_type": "linux"})


@pytest.mark.parametrize(("version", "visibility"), [("3.0", "shared"), ("3.1", "private")])
def test_who_sees_an_image_of_a_volume(cloud: Cloud, version: str, visibility: str) -> None:
    made = cloud.act(cloud.ready(), "os-volume_upload_image", {"image_name": "mine"}, version=version).json
    assert ("visibility" in made["os-volume_upload_image"]) == (version != "3.0")
    with cloud.services.db.reading() as session:
        assert session.get_one(Image, made["os-volume_upload_image"]["image_id"]).visibility == visibility


def test_uploads_that_are_refused(cloud: Cloud) -> None:
    volume = cloud.ready()
    upload = "os-volume_upload_image"
    for wrong in ({}, {"image_name": ""}, {"image_name": "x", "disk_format": "vmdk"}, {"image_name": "n" * 256},
                  {"image_name": "x", "container_format": "ovf"}, {"image_name": "x", "visibility": "all"}, None):
        _refused(cloud, volume, upload, wrong)
    _refused(cloud, volume, upload, {"image_name": "x", "protected": True}, version="3.0")
    _refused(cloud, volume, upload, {"image_name": "x", "visibility": "public"}, 403)
    cloud.add(QuotaLimit(project_id=DEMO, resource="images", hard_limit=0))
    _refused(cloud, volume, upload, {"image_name": "x"}, 413)
    cloud.attach(volume)
    assert "in-use" in _refused(cloud, volume, upload, {"image_name": "x", "force": True})
    assert cloud.count(Image) == 1


def test_the_old_way_to_attach(cloud: Cloud) -> None:
    volume = cloud.ready()
    assert cloud.act(volume, "os-reserve").status_code == 202
    assert cloud.get(f"/volumes/{volume}")["volume"]["status"] == "attaching"
    assert "attaching" in _refused(cloud, volume, "os-reserve")
    for _ in range(2):
        assert cloud.act(volume, "os-unreserve").status_code == 202
    assert cloud.get(f"/volumes/{volume}")["volume"]["status"] == "available"
    assert "in-use" in _refused(cloud, volume, "os-begin_detaching", {})
    assert cloud.act(volume, "os-roll_detaching").status_code == 202
    for action in ("os-initialize_connection", "os-terminate_connection"):
        assert "use attachments" in _refused(cloud, volume, action, {"connector": {}}, 501)
        _refused(cloud, volume, action, {})
    _refused(cloud, volume, "os-reimage", {"image_id": IMAGE}, version="3.67")


def test_a_record_of_an_attachment(cloud: Cloud) -> None:
    volume, device = cloud.ready(), {"mountpoint": "/dev/vdc"}
    for argument in ({}, device, {**device, "instance_uuid": "x"}, {**device, "host_name": "h", "mode": "x"},
                     {"mountpoint": "x" * 65, "host_name": "h"}, {"instance_uuid": IMAGE}, None):
        _refused(cloud, volume, "os-attach", argument)
    assert cloud.act(volume, "os-reserve").status_code == 202
    for _ in range(2):
        assert cloud.act(volume, "os-attach", {**device, "host_name": "h"}).status_code == 202
    shown = cloud.get(f"/volumes/{volume}", token="admin")["volume"]
    [attachment] = shown["attachments"]
    assert (shown["status"], attachment["device"], attachment["host_name"], attachment["server_id"]) == (
        "in-use", "/dev/vdc", "h", None)
    assert "in-use" in _refused(cloud, volume, "os-attach", {**device, "instance_uuid": IMAGE})
    readonly = cloud.ready()
    assert cloud.act(readonly, "os-update_readonly_flag", {"readonly": True}).status_code == 202
    assert "read-only" in _refused(cloud, readonly, "os-attach", {**device, "host_name": "h"})
    assert cloud.act(readonly, "os-attach", {**device, "host_name": "h", "mode": "ro"}).status_code == 202


def test_reimage(cloud: Cloud) -> None:
    volume = cloud.ready(size=3)
    assert _accepted(cloud, volume, "os-reimage", {"image_id": IMAGE}, "volume.reimage") == {"image_id": IMAGE}
    assert cloud.get(f"/volumes/{volume}")["volume"]["status"] == "downloading"
    broken = cloud.ready(size=3)
    cloud.settle(broken, state="error")
    _accepted(cloud, broken, "os-reimage", {"image_id": IMAGE, "reimage_reserved": True}, "volume.reimage")


def test_reimage_refused(cloud: Cloud) -> None:
    volume = cloud.ready(size=3)
    for argument in ({}, {"image_id": "x"}, {"image_id": IMAGE, "more": 1}, {"image_id": IMAGE, "reimage_reserved": 7}):
        _refused(cloud, volume, "os-reimage", argument)
    assert "unable to access" in _refused(cloud, volume, "os-reimage", {"image_id": ids.new_id()})
    for size, said in ((1, "image 2GB is larger than volume size 1GB"), (2, "minDisk size 3GB")):
        assert said in _refused(cloud, cloud.ready(size=size), "os-reimage", {"image_id": IMAGE})
    cloud.add(VolumeAttachment(id=ids.new_id(), volume_id=volume, state="reserved"))
    message = _refused(cloud, volume, "os-reimage", {"image_id": IMAGE})
    assert "status must be available or error, but current status is: reserved" in message
    assert cloud.act(volume, "os-reimage", {"image_id": IMAGE, "reimage_reserved": True}).status_code == 202
    second = cloud.ready(size=3)
    for _ in range(2):
        cloud.add(VolumeAttachment(id=ids.new_id(), volume_id=second, state="reserved"))
    assert "more than one server" in _refused(cloud, second, "os-reimage", {
        "image_id": IMAGE, "reimage_reserved": True}, 409)


def test_attachments_without_a_server_can_be_ended(cloud: Cloud) -> None:
    volume = cloud.ready()
    assert "no such attachment" in _refused(cloud, volume, "os-detach", {"attachment_id": ids.new_id()})
    assert cloud.act(volume, "os-detach", {}).status_code == 202  # it is, as in the reference
    first, second = cloud.attach(volume), cloud.attach(volume)
    assert "attachment_id is required" in _refused(cloud, volume, "os-detach")
    assert _accepted(cloud, volume, "os-detach", {"attachment_id": second}, "attachment.delete") == {
        "attachment_id": second}
    cloud.settle(volume)
    _refused(cloud, volume, "os-force_detach", {"attachment_id": first}, 403)
    assert _accepted(cloud, volume, "os-force_detach", {"attachment_id": first, "connector": None},
                     "attachment.delete", token="admin") == {"attachment_id": first}


def test_what_a_server_has_is_detached_there(cloud: Cloud) -> None:
    volume, server = cloud.ready(), ids.new_id()
    cloud.add(Server(id=server, name="s", hostname="s", project_id=DEMO, user_id=USER, vm_state="active", flavor={},
                     flavor_id=ids.new_id(), vcpus=1, ram_mib=1, root_gib=1, reservation_id="r-1"))
    cloud.attach(volume, server_id=server)
    assert server in _refused(cloud, volume, "os-force_detach", {}, 409, token="admin")
    assert cloud.count(VolumeAttachment) == 1


@pytest.mark.parametrize("body", [{}, {"os-extend": {"new_size": 2}, "os-reserve": None}, [], None, {"nothing": {}},
                                  {"os-extend": None}, {"os-extend": []}, {"os-extend": {"new_size": 2, "x": 1}}])
def test_bodies_that_are_no_action(cloud: Cloud, body: Any) -> None:
    volume = cloud.ready()
    cloud.refused("POST", f"/volumes/{volume}/action", body if body is not None else "x", status=400)
