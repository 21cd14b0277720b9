"""Metadata of volumes, and what they remember of their images."""

from __future__ import annotations

from hostler.db.models import QuotaLimit
from tests.harness.volume_core import DEMO, IMAGE, Cloud


def test_items_come_and_go(cloud: Cloud) -> None:
    volume = cloud.ready(metadata={"a": "1"})
    path = f"/volumes/{volume}/metadata"
    assert cloud.get(path) == {"metadata": {"a": "1"}}
    assert cloud.call("POST", path, {"metadata": {"b": "2"}}).json == {"metadata": {"a": "1", "b": "2"}}
    assert cloud.call("PUT", path, {"metadata": {"c": "3"}}).json == {"metadata": {"c": "3"}}
    assert cloud.call("PUT", f"{path}/d", {"meta": {"d": "4"}}).json == {"meta": {"d": "4"}}
    assert cloud.get(f"{path}/d") == {"meta": {"d": "4"}}
    assert cloud.call("DELETE", f"{path}/c").status_code == 200
    assert cloud.get(path) == {"metadata": {"d": "4"}}
    for method in ("GET", "DELETE"):
        assert "was not found" in cloud.refused(method, f"{path}/c", status=404)


def test_what_is_wrong_is_refused(cloud: Cloud) -> None:
    volume = cloud.ready()
    path = f"/volumes/{volume}/metadata"
    for body in ({}, {"metadata": None}, {"metadata": {"a": 1}}, {"metadata": {"": "x"}}, {"meta": {}}, []):
        cloud.refused("POST", path, body, status=400)
        cloud.refused("PUT", path, body, status=400)
    cloud.refused("PUT", f"{path}/a", {"meta": {"b": "1"}}, status=400)
    cloud.refused("PUT", path, {"metadata": {}}, status=403, token="reader")
    cloud.add(QuotaLimit(project_id=DEMO, resource="metadata_items", hard_limit=1))
    cloud.refused("PUT", path, {"metadata": {"a": "1", "b": "2"}}, status=413)


def test_two_writers_do_not_undo_each_other(cloud: Cloud) -> None:
    path = f"/volumes/{cloud.ready(metadata={'a': '1'})}/metadata"
    tag = cloud.call("GET", path).headers["etag"]
    headers = {"X-Auth-Token": "member", "OpenStack-API-Version": "volume 3.15", "If-Match": tag}

    def put(value: str) -> int:
        return cloud.client.simulate_put("/volume/v3" + path, json={"metadata": {"a": value}},
                                         headers=headers).status_code

    assert put("2") == 200
    assert put("3") == 412
    assert cloud.get(path) == {"metadata": {"a": "2"}}
    headers["If-Match"] = cloud.call("GET", path).headers["etag"]
    assert put("3") == 200
    assert "etag" not in cloud.call("GET", path, version="3.14").headers


def test_image_metadata(cloud: Cloud) -> None:
    volume = cloud.ready(size=3, imageRef=IMAGE)
    answer = cloud.act(volume, "os-set_image_metadata", {"metadata": {"hw_disk_bus": "scsi"}})
    assert answer.status_code == 200 and answer.json["metadata"]["hw_disk_bus"] == "scsi"
    assert cloud.act(volume, "os-unset_image_metadata", {"key": "os_type"}).status_code == 200
    shown = cloud.act(volume, "os-show_image_metadata").json["metadata"]
    assert shown["hw_disk_bus"] == "scsi" and "os_type" not in shown
    assert cloud.get(f"/volumes/{volume}")["volume"]["volume_image_metadata"] == shown
    assert cloud.act(volume, "os-unset_image_metadata", {"key": "os_type"}).status_code == 404
    assert cloud.act(volume, "os-set_image_metadata", {"metadata": {"a": 1}}).status_code == 400
