"""Handing volumes over."""

from __future__ import annotations

from typing import Any

import pytest

from hostler import ids
from hostler.db.models import QuotaLimit, Snapshot, VolumeTransfer
from tests.harness.volume_core import OTHER, Cloud
from tests.harness.volume_rest import Statements, put_volume


def offer(cloud: Cloud, volume_id: str, path: str = "/volume-transfers", **more: object) -> dict[str, Any]:
    answer = cloud.call("POST", path, {"transfer": {"volume_id": volume_id, **more}})
    assert answer.status_code == 202, answer.text
    return answer.json["transfer"]


def take(cloud: Cloud, made: dict[str, Any], **options: Any) -> Any:
    return cloud.call("POST", f"/volume-transfers/{made['id']}/accept", {"accept": {"auth_key": made["auth_key"]}},
                      token="other", **options)


def test_a_volume_goes_with_its_snapshots(cloud: Cloud) -> None:
    volume_id = put_volume(cloud, size_gib=2)
    snapshot_id = cloud.snapshot(volume_id, size_gib=2)
    made = offer(cloud, volume_id, name="gift")
    assert (made["no_snapshots"], made["accepted"]) == (False, False)
    assert cloud.get(f"/volumes/{volume_id}")["volume"]["status"] == "awaiting-transfer"
    cloud.refused("POST", "/volume-transfers", {"transfer": {"volume_id": volume_id}}, status=400)
    assert "auth_key" not in cloud.get(f"/volume-transfers/{made['id']}")["transfer"]
    with cloud.services.db.reading() as session:
        row = session.get_one(VolumeTransfer, made["id"])
        assert made["auth_key"] not in (row.salt, row.key_hash)
    taken = take(cloud, made)
    assert taken.status_code == 202 and taken.json["transfer"]["volume_id"] == volume_id
    assert cloud.get(f"/volumes/{volume_id}", token="other")["volume"]["status"] == "available"
    with cloud.services.db.reading() as session:
        assert session.get_one(Snapshot, snapshot_id).project_id == OTHER
    assert cloud.get("/limits", token="other")["limits"]["absolute"]["totalGigabytesUsed"] == 4
    assert cloud.get("/limits")["limits"]["absolute"]["totalGigabytesUsed"] == 0
    assert take(cloud, made).status_code == 404


def test_without_snapshots(cloud: Cloud) -> None:
    volume_id = put_volume(cloud)
    snapshot_id = cloud.snapshot(volume_id, state="error")
    cloud.refused("POST", "/volume-transfers", {"transfer": {"volume_id": volume_id}}, status=400)
    made = offer(cloud, volume_id, no_snapshots=True)
    assert take(cloud, made).status_code == 202
    assert cloud.get(f"/snapshots/{snapshot_id}")["snapshot"]["status"] == "error"


def test_the_old_path(cloud: Cloud) -> None:
    made = offer(cloud, put_volume(cloud), "/os-volume-transfer", name="old")
    cloud.refused("GET", f"/volume-transfers/{made['id']}", status=404, version="3.54")
    shown = cloud.get(f"/os-volume-transfer/{made['id']}", version="3.0")["transfer"]
    assert "no_snapshots" not in shown and shown["name"] == "old"
    assert [row["id"] for row in cloud.get("/os-volume-transfer/detail")["transfers"]] == [made["id"]]
    assert cloud.call("DELETE", f"/os-volume-transfer/{made['id']}").status_code == 202
    assert cloud.get("/os-volume-transfer")["transfers"] == []


def test_a_wrong_key_and_a_full_receiver(cloud: Cloud) -> None:
    volume_id = put_volume(cloud)
    made = offer(cloud, volume_id)
    assert "invalid auth key" in cloud.refused("POST", f"/volume-transfers/{made['id']}/accept",
                                               {"accept": {"auth_key": "x"}}, status=400, token="other")
    cloud.refused("POST", f"/volume-transfers/{made['id']}/accept", {"accept": {"auth_key": 17}}, status=400,
                  token="other")
    cloud.add(QuotaLimit(project_id=OTHER, resource="volumes", hard_limit=0))
    answer = take(cloud, made)
    assert answer.status_code == 413 and "volumes" in answer.json["overLimit"]["message"]
    assert cloud.get(f"/volumes/{volume_id}")["volume"]["status"] == "awaiting-transfer"


def test_what_cannot_be_offered(cloud: Cloud) -> None:
    attached = put_volume(cloud)
    cloud.attach(attached)
    for volume_id, status in ((attached, 400), (put_volume(cloud, state="error"), 400), (ids.new_id(), 404),
                              (put_volume(cloud, project_id=OTHER), 404)):
        cloud.refused("POST", "/volume-transfers", {"transfer": {"volume_id": volume_id}}, status=status)
    busy = put_volume(cloud)
    cloud.busy(busy, "volume.extend", size_gib=9)
    cloud.refused("POST", "/volume-transfers", {"transfer": {"volume_id": busy}}, status=409)


def test_list_is_the_project_s_own(cloud: Cloud) -> None:
    made = offer(cloud, put_volume(cloud), name="a")
    assert cloud.get("/volume-transfers", token="other")["transfers"] == []
    cloud.refused("GET", f"/volume-transfers/{made['id']}", status=404, token="other")
    assert len(cloud.get("/volume-transfers/detail?all_tenants=1", token="admin")["transfers"]) == 1
    assert cloud.get("/volume-transfers?name=b")["transfers"] == []
    with Statements(cloud) as statements:
        cloud.get("/volume-transfers/detail")
    assert statements.count == 1


@pytest.mark.parametrize("transfer", [{}, {"volume_id": "x"}, {"volume_id": ids.new_id(), "no_snapshots": 3},
                                      {"volume_id": ids.new_id(), "name": 3}, {"volume_id": None}])
def test_bad_bodies(cloud: Cloud, transfer: object) -> None:
    cloud.refused("POST", "/volume-transfers", {"transfer": transfer}, status=400)
    cloud.refused("POST", f"/volume-transfers/{ids.new_id()}/accept", {"accept": {}}, status=400)
