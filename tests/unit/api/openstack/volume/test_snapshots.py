"""Snapshots: what a request accepts, refuses and shows."""

from __future__ import annotations

import pytest

from hostler import ids
from hostler.db.models import Backend, QuotaLimit, Snapshot
from tests.harness.volume_core import BACKEND, DEMO, OTHER, Cloud
from tests.harness.volume_rest import Statements, free, offline, put_volume


def make(cloud: Cloud, volume_id: str, **more: object) -> dict[str, object]:
    answer = cloud.call("POST", "/snapshots", {"snapshot": {"volume_id": volume_id, **more}})
    assert answer.status_code == 202, answer.text
    return answer.json["snapshot"]


def test_create_locks_the_volume_and_counts(cloud: Cloud) -> None:
    volume_id = put_volume(cloud, size_gib=3)
    made = make(cloud, volume_id, name=" first ", description="why", metadata={"k": "v"})
    assert (made["name"], made["size"], made["status"], made["metadata"]) == ("first", 3, "creating", {"k": "v"})
    [operation] = cloud.operations(str(made["id"]))
    assert (operation.kind, operation.host) == ("snapshot.create", "volume@node1")
    assert cloud.waker.woken == [operation.id]
    cloud.refused("POST", "/snapshots", {"snapshot": {"volume_id": volume_id}}, status=409)
    free(cloud, volume_id)
    limits = cloud.get("/limits")["limits"]["absolute"]
    assert (limits["totalSnapshotsUsed"], limits["totalGigabytesUsed"]) == (1, 6)
    with cloud.services.db.reading() as session:
        assert session.get_one(Backend, BACKEND).generation == 1


def test_two_snapshots_may_have_one_name(cloud: Cloud) -> None:
    volume_id = put_volume(cloud)
    for _ in range(2):
        make(cloud, volume_id, name="same")
        free(cloud, volume_id)
    found = cloud.get("/snapshots?name=same&limit=1")
    assert len(found["snapshots"]) == 1 and found["snapshots_links"][0]["rel"] == "next"


@pytest.mark.parametrize(("version", "force", "status"), [
    ("3.0", None, 400), ("3.0", True, 202), ("3.65", None, 400), ("3.66", None, 202), ("3.66", "true", 202),
    ("3.66", False, 400)])
def test_of_an_attached_volume(cloud: Cloud, version: str, force: object, status: int) -> None:
    volume_id = put_volume(cloud)
    cloud.attach(volume_id)
    body = {"snapshot": {"volume_id": volume_id, **({} if force is None else {"force": force})}}
    assert cloud.call("POST", "/snapshots", body, version=version).status_code == status


def test_of_an_attached_volume_where_the_back_end_cannot(cloud: Cloud) -> None:
    volume_id = put_volume(cloud)
    cloud.attach(volume_id)
    offline(cloud)
    message = cloud.refused("POST", "/snapshots", {"snapshot": {"volume_id": volume_id, "force": True}}, status=400)
    assert "detached volumes only" in message


@pytest.mark.parametrize("state", ["error", "error_extending", "maintenance"])
def test_of_a_volume_in_a_wrong_status(cloud: Cloud, state: str) -> None:
    message = cloud.refused("POST", "/snapshots", {"snapshot": {"volume_id": put_volume(cloud, state=state)}},
                            status=400)
    assert f"current status is: {state}" in message


def test_quota_says_the_numbers(cloud: Cloud) -> None:
    volume_id = put_volume(cloud, size_gib=3)
    cloud.add(QuotaLimit(project_id=DEMO, resource="gigabytes", hard_limit=5))
    message = cloud.refused("POST", "/snapshots", {"snapshot": {"volume_id": volume_id}}, status=413)
    assert "Requested 3G, quota is 5G and 3G has been consumed" in message
    assert cloud.count(Snapshot) == 0


def test_quota_of_a_type(cloud: Cloud) -> None:
    type_id = cloud.volume_type("fast")
    volume_id = put_volume(cloud, volume_type_id=type_id)
    cloud.add(QuotaLimit(project_id=DEMO, resource="snapshots_fast", hard_limit=0))
    message = cloud.refused("POST", "/snapshots", {"snapshot": {"volume_id": volume_id}}, status=413)
    assert "snapshots_fast" in message


def test_no_room_on_the_back_end(cloud: Cloud) -> None:
    volume_id = put_volume(cloud, size_gib=60)
    message = cloud.refused("POST", "/snapshots", {"snapshot": {"volume_id": volume_id}}, status=409)
    assert "no room" in message and cloud.count(Snapshot) == 0


@pytest.mark.parametrize("body", [
    {}, {"snapshot": None}, {"snapshot": {}}, {"snapshot": {"volume_id": "x"}},
    {"snapshot": {"volume_id": ids.new_id(), "name": "n" * 256}},
    {"snapshot": {"volume_id": ids.new_id(), "force": "maybe"}},
    {"snapshot": {"volume_id": ids.new_id(), "metadata": {"k": 1}}},
    {"snapshot": {"volume_id": ids.new_id(), "what": 1}}, [], "text"])
def test_bad_bodies(cloud: Cloud, body: object) -> None:
    cloud.refused("POST", "/snapshots", body, status=400)


def test_of_nobodys_volume(cloud: Cloud) -> None:
    cloud.refused("POST", "/snapshots", {"snapshot": {"volume_id": None}}, status=404)  # as the reference answers
    cloud.refused("POST", "/snapshots", {"snapshot": {"volume_id": ids.new_id()}}, status=404)
    strange = put_volume(cloud, project_id=OTHER)
    cloud.refused("POST", "/snapshots", {"snapshot": {"volume_id": strange}}, status=404)
    own = put_volume(cloud)
    cloud.refused("POST", "/snapshots", {"snapshot": {"volume_id": own}}, status=403, token="reader")


def test_list_filters_sorts_and_counts(cloud: Cloud) -> None:
    one, two = put_volume(cloud), put_volume(cloud, size_gib=2)
    first = cloud.snapshot(one, name="a", extra={"env": "test"})
    second = cloud.snapshot(two, name="b", state="error", size_gib=2)
    cloud.snapshot(one, name="c", project_id=OTHER)

    def names(query: str, **options: object) -> list[str]:
        return [row["name"] for row in cloud.get(f"/snapshots/detail?{query}", **options)["snapshots"]]

    assert names("sort=name:asc") == ["a", "b"]
    assert names("status=error") == ["b"] and names(f"volume_id={one}") == ["a"]
    assert names("name~=B", token="admin") == ["b"] and names("metadata={'env': 'test'}") == ["a"]
    assert names("availability_zone=mars") == []
    assert names("sort_key=size&sort_dir=desc") == ["b", "a"]
    assert names(f"sort=name:asc&marker={first}") == ["b"] and names("sort=name:asc&offset=1") == ["b"]
    assert names("all_tenants=1&sort=name:asc") == ["a", "b"]
    assert names("all_tenants=1&sort=name:asc", token="admin") == ["a", "b", "c"]
    assert names(f"all_tenants=1&project_id={OTHER}", token="admin") == ["c"]
    counted = cloud.get("/snapshots?with_count=true&limit=1")
    assert counted["count"] == 2 and len(counted["snapshots"]) == 1
    shown = cloud.get(f"/snapshots/{second}")["snapshot"]
    assert shown["os-extended-snapshot-attributes:progress"] == "0%" and shown["consumes_quota"] is True
    assert "user_id" not in cloud.get(f"/snapshots/{second}", version="3.40")["snapshot"]


@pytest.mark.parametrize("query", ["limit=x", "limit=-1", "sort=what", "sort=name:up", "offset=-1", "metadata=x",
                                   "metadata={1:2}", "all_tenants=perhaps", "with_count=x"])
def test_bad_lists(cloud: Cloud, query: str) -> None:
    cloud.refused("GET", f"/snapshots/detail?{query}", status=400)


def test_an_unknown_marker(cloud: Cloud) -> None:
    cloud.refused("GET", "/snapshots?marker=nothing", status=404)


def test_a_list_costs_the_same_however_long(cloud: Cloud) -> None:
    volume_id = put_volume(cloud)
    counts = []
    for number in (1, 20):
        for _ in range(number):
            cloud.snapshot(volume_id)
        with Statements(cloud) as statements:
            cloud.get("/snapshots/detail")
        counts.append(statements.count)
    assert counts[0] == counts[1] == 1


def test_update_and_metadata(cloud: Cloud) -> None:
    snapshot_id = cloud.snapshot(put_volume(cloud), extra={"a": "1"})
    path = f"/snapshots/{snapshot_id}"
    shown = cloud.call("PUT", path, {"snapshot": {"name": " new ", "description": None}}).json["snapshot"]
    assert (shown["name"], shown["description"]) == ("new", None)
    cloud.refused("PUT", path, {"snapshot": {}}, status=400)
    assert cloud.call("POST", f"{path}/metadata", {"metadata": {"b": "2"}}).json["metadata"] == {"a": "1", "b": "2"}
    assert cloud.call("PUT", f"{path}/metadata/c", {"meta": {"c": "3"}}).json["meta"] == {"c": "3"}
    cloud.refused("PUT", f"{path}/metadata/c", {"meta": {"d": "3"}}, status=400)
    assert cloud.get(f"{path}/metadata/c")["meta"] == {"c": "3"}
    assert cloud.call("DELETE", f"{path}/metadata/a").status_code == 200
    cloud.refused("DELETE", f"{path}/metadata/a", status=404)
    assert cloud.call("PUT", f"{path}/metadata", {"metadata": {"z": ""}}).json["metadata"] == {"z": ""}
    assert cloud.get(f"{path}/metadata")["metadata"] == {"z": ""}
    cloud.refused("POST", f"{path}/metadata", {"metadata": {"": "x"}}, status=400)


def test_delete(cloud: Cloud) -> None:
    volume_id = put_volume(cloud)
    snapshot_id = cloud.snapshot(volume_id)
    heir = put_volume(cloud, state="creating", snapshot_id=snapshot_id)
    assert heir in cloud.refused("DELETE", f"/snapshots/{snapshot_id}", status=400)
    cloud.settle(heir)
    assert cloud.call("DELETE", f"/snapshots/{snapshot_id}").status_code == 202
    assert cloud.get(f"/snapshots/{snapshot_id}")["snapshot"]["status"] == "deleting"
    cloud.refused("DELETE", f"/snapshots/{snapshot_id}", status=409)
    cloud.refused("DELETE", f"/snapshots/{cloud.snapshot(volume_id, state='creating')}", status=400)
    cloud.refused("DELETE", f"/snapshots/{ids.new_id()}", status=404)


def test_actions(cloud: Cloud) -> None:
    snapshot_id = str(make(cloud, put_volume(cloud))["id"])
    path = f"/snapshots/{snapshot_id}/action"
    reset = {"os-reset_status": {"status": "error"}}
    cloud.refused("POST", path, reset, status=403)
    cloud.refused("POST", path, reset, status=409, token="admin")
    cloud.refused("POST", path, {"os-update_snapshot_status": {"status": "creating"}}, status=501)
    assert cloud.call("POST", path, {"os-force_delete": {}}, token="admin").status_code == 202
    assert cloud.call("POST", path, {"os-force_delete": None}, token="admin").status_code == 202
    created, deletion = cloud.operations(snapshot_id)
    assert created.cancel_requested and deletion.waits_for_lock and deletion.arguments == {}
    free(cloud, snapshot_id)
    assert cloud.call("POST", path, reset, token="admin").status_code == 202
    assert cloud.get(f"/snapshots/{snapshot_id}")["snapshot"]["status"] == "error"
    for body in ({"os-reset_status": {"status": "deleted"}}, {"os-reset_status": {}}, {"what": {}}, {}):
        cloud.refused("POST", path, body, status=400, token="admin")


def test_nothing_is_taken_over(cloud: Cloud) -> None:
    assert cloud.get("/manageable_volumes/detail?host=x", token="admin") == {"manageable-volumes": []}
    cloud.refused("POST", "/os-volume-manage", {"volume": {}}, status=501, token="admin")
    assert cloud.get("/manageable_snapshots?host=x", token="admin") == {"manageable-snapshots": []}
    cloud.refused("POST", "/manageable_snapshots", {"snapshot": {}}, status=501, token="admin")
