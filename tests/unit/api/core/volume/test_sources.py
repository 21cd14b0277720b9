"""What a new volume's request is held against, and what the volume takes over from its source."""

from __future__ import annotations

from typing import Any

import pytest

from hostler import clock, ids
from hostler.db.models import Image, QuotaLimit, Volume, VolumeTypeAccess
from tests.harness.volume_core import DEMO, GIB, IMAGE, OTHER, Cloud

pytestmark = pytest.mark.contract("V-EXTRACT")


def _refused(cloud: Cloud, status: int = 400, *, version: str | None = None, beside: dict[str, Any] | None = None,
             token: str = "member", **volume: Any) -> str:
    body = {"volume": {"size": 1, **volume}, **(beside or {})}
    before = cloud.count(Volume)
    message = cloud.refused("POST", "/volumes", body, status=status, version=version, token=token)
    assert cloud.count(Volume) == before
    return message


def _image(cloud: Cloud, **values: Any) -> str:
    image_id = ids.new_id()
    cloud.add(Image(**{"id": image_id, "name": "other", "project_id": OTHER, "status": "active",
                       "visibility": "public", "disk_format": "raw", "container_format": "bare", "size_bytes": 1000,
                       "virtual_size_bytes": 1000, "sha256": "1" * 64, "properties": {}, **values}))
    return image_id


def test_an_empty_volume(cloud: Cloud) -> None:
    volume = cloud.create(name=" one ", description="first", metadata={"a": "b"})
    assert (volume["name"], volume["description"], volume["size"]) == ("one", "first", 1)
    assert (volume["status"], volume["bootable"], volume["metadata"]) == ("creating", "false", {"a": "b"})
    assert volume["availability_zone"] == "nova" and "volume_image_metadata" not in volume
    assert cloud.create(size="2")["size"] == 2


@pytest.mark.parametrize("size", [0, -1, "0", "-1", 1.5, "x", 2147483648, "99999999999", True, [], {}])
def test_sizes_that_are_none(cloud: Cloud, size: Any) -> None:
    _refused(cloud, size=size)


def test_a_size_is_needed_without_a_source(cloud: Cloud) -> None:
    assert "must be an integer and greater than 0" in _refused(cloud, size=None)


def test_sources_exclude_each_other(cloud: Cloud) -> None:
    volume = cloud.ready()
    snapshot, backup = cloud.snapshot(volume), cloud.backup(volume)
    given = {"snapshot_id": snapshot, "imageRef": IMAGE, "source_volid": volume, "backup_id": backup}
    for one in given:
        for other in given:
            if one < other:
                message = _refused(cloud, **{one: given[one], other: given[other]})
                assert "May specify only one of snapshot, imageRef, source volume or backup" in message


def test_the_size_comes_from_the_source_and_is_never_smaller(cloud: Cloud) -> None:
    volume = cloud.ready(size=4)
    sources = {"source_volid": volume, "snapshot_id": cloud.snapshot(volume, 4), "backup_id": cloud.backup(volume, 4)}
    for name, identity in sources.items():
        assert cloud.create(size=None, **{name: identity})["size"] == 4
        assert cloud.create(size=6, **{name: identity})["size"] == 6
        message = _refused(cloud, size=3, **{name: identity})
        assert "3" in message and "4GB" in message and "cannot be smaller than" in message


def test_what_is_taken_over_from_a_volume(cloud: Cloud) -> None:
    kind = cloud.volume_type("fast")
    volume = cloud.ready(size=4, imageRef=IMAGE, volume_type="fast")
    for name, identity in (("source_volid", volume), ("snapshot_id", cloud.snapshot(volume, 4))):
        made = cloud.create(size=None, **{name: identity})
        assert (made["bootable"], made["volume_type"], made["volume_type_id"]) == ("true", "fast", kind)
        assert cloud.get(f"/volumes/{made['id']}")["volume"]["volume_image_metadata"]["image_id"] == IMAGE
        assert made[name] == identity
        [operation] = cloud.operations(made["id"])
        assert operation.arguments == {"source": {"source_volid": "volume", "snapshot_id": "snapshot"}[name]}
    made = cloud.create(size=None, backup_id=cloud.backup(volume, 4))
    assert (made["bootable"], made["volume_type"]) == ("true", "fast")


def test_an_image_gives_its_metadata_and_makes_bootable(cloud: Cloud) -> None:
    volume = cloud.create(size=3, imageRef=IMAGE)
    assert volume["bootable"] == "true"
    assert cloud.get(f"/volumes/{volume['id']}")["volume"]["volume_image_metadata"] == {
        "image_id": IMAGE, "image_name": "tiny", "checksum": "1" * 32, "size": "1000", "container_format": "bare",
        "disk_format": "qcow2", "min_disk": "3", "min_ram": "0", "os_type": "linux"}
    assert cloud.create(size=None, image_id=IMAGE)["size"] == 3  # as small as its image allows
    assert cloud.create(size=3, imageRef=f"http://glance/v2/images/{IMAGE}")["bootable"] == "true"


def test_images_must_be_active_and_fit(cloud: Cloud) -> None:
    assert "cannot be smaller than the image minDisk size 3GB" in _refused(cloud, size=2, imageRef=IMAGE)
    large = _image(cloud, virtual_size_bytes=5 * GIB + 1)
    assert "Size of specified image 6GB is larger than volume size 5GB" in _refused(cloud, size=5, imageRef=large)
    assert "is not active" in _refused(cloud, imageRef=_image(cloud, status="queued"))
    assert "iso" in _refused(cloud, imageRef=_image(cloud, disk_format="iso"))
    assert "encrypted" in _refused(cloud, imageRef=_image(cloud, properties={"cinder_encryption_key_id": "x"}))
    for reference in ("nothing", ids.new_id(), _image(cloud, visibility="private"),
                      _image(cloud, deleted_at=clock.utcnow())):
        assert "Invalid image identifier" in _refused(cloud, imageRef=reference)


def test_sources_that_are_not_there(cloud: Cloud) -> None:
    volume = cloud.ready()
    cloud.settle(volume, project_id=OTHER)
    foreign = cloud.snapshot(volume, project_id=OTHER)
    for name in ("snapshot_id", "source_volid", "backup_id"):
        _refused(cloud, 404, **{name: ids.new_id()})
        _refused(cloud, 400, **{name: "no-id"})
    _refused(cloud, 404, source_volid=volume)
    _refused(cloud, 404, snapshot_id=foreign)


def test_sources_must_be_whole_and_at_rest(cloud: Cloud) -> None:
    volume = cloud.ready()
    cloud.attach(volume)
    assert "status must be available, but current status is: in-use" in _refused(cloud, source_volid=volume)
    broken = cloud.snapshot(volume, state="error")
    assert f"snapshot {broken} status must be available" in _refused(cloud, snapshot_id=broken)
    busy = cloud.ready()
    cloud.busy(busy, "volume.extend", size_gib=9)
    assert "locked" in _refused(cloud, 409, source_volid=busy)
    creating = cloud.create()["id"]
    _refused(cloud, 409, source_volid=creating)


def test_types_are_found_by_name_and_id_when_visible(cloud: Cloud) -> None:
    public = cloud.volume_type("public")
    hidden, granted = cloud.volume_type("hidden", is_public=False), cloud.volume_type("granted", is_public=False)
    cloud.add(VolumeTypeAccess(volume_type_id=granted, project_id=DEMO))
    assert cloud.create(volume_type=public)["volume_type"] == "public"
    assert cloud.create(volume_type="granted")["volume_type_id"] == granted
    for name in ("hidden", hidden, "nothing"):
        assert "Volume type" in _refused(cloud, 404, volume_type=name)


def test_a_type_may_be_shared_and_none_may_be_encrypted(cloud: Cloud) -> None:
    cloud.volume_type("shared", extra_specs={"multiattach": "<is> True"})
    cloud.volume_type("secret", extra_specs={"encryption:provider": "luks"})
    assert cloud.create(volume_type="shared")["multiattach"] is True
    assert "encryption" in _refused(cloud, volume_type="secret")
    assert "multiattach" in _refused(cloud, multiattach=True)


def test_groups_are_refused(cloud: Cloud) -> None:
    assert "groups are not supported" in _refused(cloud, group_id=ids.new_id())
    assert "groups are not supported" in _refused(cloud, consistencygroup_id=ids.new_id())


def test_what_is_unknown_is_refused_since_353_and_passed_over_before(cloud: Cloud) -> None:
    assert "unexpected" in _refused(cloud, nonsense=1)
    assert cloud.call("POST", "/volumes", {"volume": {"size": 1, "nonsense": 1}}, version="3.52").status_code == 202
    assert cloud.call("POST", "/volumes", {"volume": {"size": 1, "backup_id": ids.new_id()}},
                      version="3.46").status_code == 202


@pytest.mark.parametrize("metadata", [{"": "x"}, {"k" * 256: "x"}, {"k": "v" * 256}, {"k": None}, {"k": 1}, [], "x"])
def test_metadata_has_its_limits(cloud: Cloud, metadata: Any) -> None:
    _refused(cloud, metadata=metadata)


def test_metadata_items_are_counted(cloud: Cloud) -> None:
    cloud.add(QuotaLimit(project_id=DEMO, resource="metadata_items", hard_limit=1))
    assert "exceeds 1" in _refused(cloud, 413, metadata={"a": "1", "b": "2"})


def test_scheduler_hints_are_kept_with_ids_in_one_spelling(cloud: Cloud) -> None:
    other = cloud.ready()
    body = {"volume": {"size": 1}, "OS-SCH-HNT:scheduler_hints": {
        "same_host": ids.bare(other), "different_host": [ids.new_id()]}}
    made = cloud.call("POST", "/volumes", body)
    assert made.status_code == 202
    assert cloud.row(made.json["volume"]["id"]).scheduler_hints == {"same_host": [other], "different_host": []}
    _refused(cloud, beside={"OS-SCH-HNT:scheduler_hints": {"same_host": ids.new_id()}})
    _refused(cloud, beside={"OS-SCH-HNT:scheduler_hints": {"same_host": "no-id"}})
    _refused(cloud, beside={"OS-SCH-HNT:scheduler_hints": "text"})


@pytest.mark.parametrize("volume", [{"availability_zone": ""}, {"availability_zone": 1}, {"name": "n" * 256},
                                    {"name": 1}, {"description": "d" * 256}, {"volume_type": 5}, {"imageRef": 3},
                                    {"snapshot_id": ""}, {"multiattach": "maybe"}, {"name": "\x00"}])
def test_members_of_the_wrong_shape(cloud: Cloud, volume: dict[str, Any]) -> None:
    _refused(cloud, **volume)


@pytest.mark.parametrize("volume", [{"name": None, "description": None, "metadata": None, "availability_zone": None,
                                     "volume_type": None, "snapshot_id": None, "source_volid": None, "imageRef": "",
                                     "image_id": None, "consistencygroup_id": None, "multiattach": None,
                                     "group_id": None, "backup_id": None}, {"volume_type": "", "name": ""}])
def test_members_that_say_nothing(cloud: Cloud, volume: dict[str, Any]) -> None:
    made = cloud.create(**volume)
    assert (made["name"], made["description"], made["metadata"]) == ("", None, {})


def test_readers_may_not_create(cloud: Cloud) -> None:
    assert "volume:create" in _refused(cloud, 403, token="reader")


def test_quota_is_refused_with_the_numbers(cloud: Cloud) -> None:
    cloud.volume_type("fast")
    cloud.add(QuotaLimit(project_id=DEMO, resource="volumes", hard_limit=3),
              QuotaLimit(project_id=DEMO, resource="gigabytes", hard_limit=10),
              QuotaLimit(project_id=DEMO, resource="per_volume_gigabytes", hard_limit=8),
              QuotaLimit(project_id=DEMO, resource="gigabytes_fast", hard_limit=2))
    cloud.create(size=2, volume_type="fast")
    message = _refused(cloud, 413, size=1, volume_type="fast")
    assert "gigabytes_fast quota. Requested 1G, quota is 2G and 2G has been consumed" in message
    message = _refused(cloud, 413, size=9)
    assert "Requested 9G, quota is 10G and 2G has been consumed" in message
    snapshot_of = cloud.ready(size=2)
    cloud.snapshot(snapshot_of, 4)
    message = _refused(cloud, 413, size=3)
    assert "Requested 3G, quota is 10G and 8G has been consumed" in message
    cloud.create(size=2)
    assert "Maximum number of volumes allowed (3) exceeded" in _refused(cloud, 413, size=1)


def test_one_volume_may_be_limited_in_size(cloud: Cloud) -> None:
    cloud.add(QuotaLimit(project_id=DEMO, resource="per_volume_gigabytes", hard_limit=8))
    assert "Requested volume size 9G is larger than maximum allowed limit 8G" in _refused(cloud, 413, size=9)
    assert cloud.create(size=8)["size"] == 8
