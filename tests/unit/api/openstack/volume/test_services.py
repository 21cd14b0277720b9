"""Services, pools, quota, limits, zones, messages, extensions, and what this cloud never has."""

from __future__ import annotations

import datetime as dt

import pytest

from hostler import clock, ids
from hostler.db.models import Backend, Operation, QuotaLimit, VolumeNode, Zone
from tests.harness.volume_core import BACKEND, DEMO, NODE, OTHER, USER, Cloud
from tests.harness.volume_rest import Statements, change, put_volume


def test_services(cloud: Cloud) -> None:
    cloud.refused("GET", "/os-services", status=403)
    rows = cloud.get("/os-services", token="admin")["services"]
    assert {(row["binary"], row["host"], row["zone"]) for row in rows} == {
        ("cinder-volume", "node1@local", "nova"), ("cinder-volume", "node1@second", "nova"),
        ("cinder-backup", "node1", "nova"), ("cinder-scheduler", "control", "internal")}
    assert {(row["status"], row["state"]) for row in rows} == {("enabled", "up")}
    [row] = cloud.get("/os-services?host=node1@local&binary=cinder-volume", token="admin")["services"]
    assert (row["backend_state"], row["cluster"], row["frozen"]) == ("up", None, False)
    change(cloud, Backend, BACKEND, healthy=False)
    [row] = cloud.get("/os-services?host=node1@local", token="admin")["services"]
    assert (row["state"], row["backend_state"]) == ("up", "down")
    assert "backend_state" not in cloud.get("/os-services", token="admin", version="3.48")["services"][0]
    change(cloud, VolumeNode, NODE, last_seen_at=clock.utcnow() - dt.timedelta(hours=1))
    rows = cloud.get("/os-services?host=node1", token="admin")["services"]
    assert len(rows) == 3 and {row["state"] for row in rows} == {"down"}


def test_a_node_is_taken_out_of_service(cloud: Cloud) -> None:
    def put(action: str, status: int = 200, **body: object) -> dict[str, object]:
        answer = cloud.call("PUT", f"/os-services/{action}", body, token="admin")
        assert answer.status_code == status, answer.text
        return answer.json

    done = put("disable-log-reason", host="node1", binary="cinder-volume", disabled_reason="disk")
    assert (done["status"], done["disabled_reason"]) == ("disabled", "disk")
    rows = cloud.get("/os-services?binary=cinder-volume", token="admin")["services"]
    assert {(row["status"], row["disabled_reason"]) for row in rows} == {("disabled", "disk")}
    assert cloud.get("/os-availability-zone")["availabilityZoneInfo"] == [
        {"zoneName": "nova", "zoneState": {"available": False}}]
    assert put("enable", host="node1", service="cinder-volume")["status"] == "enabled"
    put("disable-log-reason", host="node1@local", binary="cinder-volume", disabled_reason="slow")
    rows = cloud.get("/os-services?binary=cinder-volume", token="admin")["services"]
    assert {row["host"]: row["status"] for row in rows} == {"node1@local": "disabled", "node1@second": "enabled"}
    assert cloud.get("/os-availability-zone")["availabilityZoneInfo"][0]["zoneState"] == {"available": True}
    put("disable", host="node1", binary="cinder-volume")
    put("enable", 400, host="node1@local", binary="cinder-volume")
    put("enable", host="node1", binary="cinder-volume")
    put("enable", host="node1@local", binary="cinder-volume")
    put("disable", 404, host="node1@nothing", binary="cinder-volume")
    put("disable", 404, host="nowhere", binary="cinder-volume")
    put("disable", 404, host="node1", binary="cinder-what")
    put("disable", 400, host="control", binary="cinder-scheduler")
    put("disable", 400, host="node1")
    put("disable-log-reason", 400, host="node1", binary="cinder-volume")
    put("what", 404, host="node1", binary="cinder-volume")
    put("failover_host", 501, host="node1")
    put("failover_host", 400, host="nowhere")


def test_hosts(cloud: Cloud) -> None:
    rows = cloud.get("/os-hosts", token="admin")["hosts"]
    assert {row["host_name"] for row in rows} == {"node1@local", "node1@second", "node1", "control"}
    volume_id = put_volume(cloud, size_gib=3)
    cloud.snapshot(volume_id, size_gib=2)
    total, mine = [row["resource"] for row in cloud.get("/os-hosts/node1@local", token="admin")["host"]]
    assert total == {"host": "node1@local", "project": "(total)", "volume_count": "1", "total_volume_gb": "3",
                     "snapshot_count": "1", "total_snapshot_gb": "2"}
    assert mine == {**total, "project": ids.bare(DEMO)}
    [nothing] = cloud.get("/os-hosts/node1@second", token="admin")["host"]
    assert nothing["resource"]["volume_count"] == "0"
    change(cloud, Backend, BACKEND, enabled=False)
    for absent in ("node1", "node1@local", "control"):
        cloud.refused("GET", f"/os-hosts/{absent}", status=404, token="admin")
    cloud.refused("GET", "/os-hosts/node1@second", status=403)


def test_pools(cloud: Cloud) -> None:
    cloud.refused("GET", "/scheduler-stats/get_pools", status=403)
    volume_id = put_volume(cloud, size_gib=3)
    cloud.snapshot(volume_id, size_gib=2)
    change(cloud, Backend, BACKEND, capabilities={"volume_backend_name": "local", "thin_provisioning": True})
    assert cloud.get("/scheduler-stats/get_pools", token="admin") == {
        "pools": [{"name": "node1@local#local"}, {"name": "node1@second#second"}]}
    with Statements(cloud) as statements:
        [pool, _] = cloud.get("/scheduler-stats/get_pools?detail=True", token="admin")["pools"]
    assert statements.count == 3
    shown = pool["capabilities"]
    assert (shown["allocated_capacity_gb"], shown["total_volumes"], shown["free_capacity_gb"]) == (5, 1, 100.0)
    assert (shown["thin_provisioning_support"], shown["backend_state"]) == (True, "up")
    cloud.volume_type("local", extra_specs={"volume_backend_name": "local"})
    found = cloud.get("/scheduler-stats/get_pools?volume_type=local", token="admin")["pools"]
    assert [row["name"] for row in found] == ["node1@local#local"]
    cloud.volume_type("ours", extra_specs={"vendor_name": "Hostler", "pool_name": "second"})
    found = cloud.get("/scheduler-stats/get_pools?volume_type=ours", token="admin")["pools"]
    assert [row["name"] for row in found] == ["node1@second#second"]
    found = cloud.get("/scheduler-stats/get_pools?name=node1@second%23second", token="admin")["pools"]
    assert [row["name"] for row in found] == ["node1@second#second"]
    cloud.refused("GET", "/scheduler-stats/get_pools?volume_type=nothing", status=404, token="admin")


def test_capabilities(cloud: Cloud) -> None:
    shown = cloud.get("/capabilities/node1@local", token="admin")
    assert shown["namespace"] == "OS::Storage::Capabilities::node1@local"
    assert shown["properties"]["online_snapshot"]["default"] is True
    cloud.refused("GET", "/capabilities/node1", status=404, token="admin")  # which of its two
    cloud.refused("GET", "/capabilities/node1@local", status=403)


def test_quota_sets(cloud: Cloud) -> None:
    path = f"/os-quota-sets/{DEMO}"
    cloud.volume_type("fast")
    shown = cloud.get(path)["quota_set"]
    assert (shown["id"], shown["volumes"], shown["volumes_fast"], shown["groups"]) == (DEMO, 10, -1, 0)
    cloud.refused("GET", path, status=403, token="other")
    change_volumes = {"quota_set": {"volumes": 5, "gigabytes_fast": "7", "per_volume_gigabytes": -1}}
    cloud.refused("PUT", path, change_volumes, status=403)
    changed = cloud.call("PUT", path, change_volumes, token="admin").json["quota_set"]
    assert (changed["volumes"], changed["gigabytes_fast"]) == (5, 7)
    put_volume(cloud, size_gib=3)
    used = cloud.get(f"{path}?usage=True")["quota_set"]
    assert used["gigabytes"] == {"limit": 1000, "in_use": 3, "reserved": 0, "allocated": 0}
    for bad in ({"volumes": "x"}, {"volumes": -2}, {"what": 1}, {}, {"volumes": 2**40}, {"volumes": 0},
                {"volumes": None}, {f"volumes_{'n' * 100}": 1}):
        cloud.refused("PUT", path, {"quota_set": bad}, status=400, token="admin")
    whole = cloud.call("PUT", path, {"quota_set": {"groups": 3, "volumes": 6}}, token="admin").json["quota_set"]
    assert (whole["groups"], whole["volumes"]) == (3, 6)  # clients send whole sets, and read them back
    assert cloud.get(f"{path}/defaults")["quota_set"]["volumes"] == 10
    cloud.add(QuotaLimit(project_id=DEMO, resource="cores", hard_limit=1))
    assert cloud.call("DELETE", path, token="admin").status_code == 200
    assert cloud.get(path)["quota_set"]["volumes"] == 10 and cloud.count(QuotaLimit) == 1
    cloud.refused("GET", "/os-quota-sets/nobody", status=400, token="admin")
    cloud.refused("GET", f"{path}?usage=perhaps", status=400)


def test_a_type_s_name_too_long_for_a_limit(cloud: Cloud) -> None:
    cloud.volume_type("n" * 100)
    message = cloud.refused("PUT", f"/os-quota-sets/{DEMO}", {"quota_set": {f"volumes_{'n' * 100}": 1}}, status=400,
                            token="admin")
    assert "too long" in message


def test_quota_classes(cloud: Cloud) -> None:
    shown = cloud.get("/os-quota-class-sets/default", token="admin")["quota_class_set"]
    assert (shown["id"], shown["volumes"], shown["backup_gigabytes"]) == ("default", 10, 1000)
    cloud.refused("GET", "/os-quota-class-sets/default", status=403)
    cloud.refused("PUT", "/os-quota-class-sets/default", {"quota_class_set": {"volumes": 3}}, status=403)
    for name, status, limits in (("default", 400, {"nonsense": 1}), ("default", 400, {"volumes": -2}),
                                 ("default", 400, {}), ("gold", 501, {"volumes": 3})):
        cloud.refused("PUT", f"/os-quota-class-sets/{name}", {"quota_class_set": limits}, status=status, token="admin")


def test_a_quota_class_is_what_projects_without_own_limits_have(cloud: Cloud) -> None:
    cloud.volume_type("fast")
    own = {"quota_set": {"snapshots": 4}}
    assert cloud.call("PUT", f"/os-quota-sets/{DEMO}", own, token="admin").status_code == 200
    changed = {"volumes": 3, "snapshots": 5, "gigabytes_fast": 7}
    for limits in (changed, {**changed, "id": "default"}):
        answer = cloud.call("PUT", "/os-quota-class-sets/default", {"quota_class_set": limits}, token="admin")
        assert answer.status_code == 200 and answer.json["quota_class_set"].items() >= changed.items()
        assert "id" not in answer.json["quota_class_set"]
    for path in ("/os-quota-class-sets/default", f"/os-quota-sets/{DEMO}/defaults", f"/os-quota-sets/{OTHER}"):
        [found] = cloud.get(path, token="admin").values()
        assert found.items() >= changed.items(), path
    assert cloud.get(f"/os-quota-sets/{DEMO}", token="admin")["quota_set"].items() >= {
        **changed, "snapshots": 4}.items()
    assert cloud.get("/limits")["limits"]["absolute"]["maxTotalVolumes"] == 3
    assert cloud.call("PUT", "/types/" + cloud.get("/types", token="admin")["volume_types"][0]["id"],
                         {"volume_type": {"name": "faster"}}, token="admin").status_code == 200
    assert cloud.get("/os-quota-class-sets/default", token="admin")["quota_class_set"]["gigabytes_faster"] == 7


def test_limits(cloud: Cloud) -> None:
    put_volume(cloud, size_gib=3)
    found = cloud.get("/limits")["limits"]
    assert found["rate"] == [] and found["absolute"]["maxTotalVolumes"] == 10
    assert (found["absolute"]["totalVolumesUsed"], found["absolute"]["totalGigabytesUsed"]) == (1, 3)
    cloud.refused("GET", f"/limits?project_id={OTHER}", status=403)
    assert cloud.get(f"/limits?project_id={OTHER}", token="admin")["limits"]["absolute"]["totalVolumesUsed"] == 0


def test_messages_are_the_failed_operations(cloud: Cloud) -> None:
    volume_id = put_volume(cloud)
    for kind, state, project in (("volume.create", "failed", DEMO), ("volume.extend", "succeeded", DEMO),
                                 ("snapshot.create", "failed", DEMO), ("volume.create", "failed", OTHER)):
        cloud.add(Operation(kind=kind, resource_type=kind.partition(".")[0], resource_id=volume_id, state=state,
                            project_id=project, user_id=USER, request_id="req-1", message="It broke."))
    rows = cloud.get("/messages")["messages"]
    assert {row["event_id"] for row in rows} == {"VOLUME_CREATE_FAILED", "SNAPSHOT_CREATE_FAILED"}
    [row] = cloud.get(f"/messages?event_id=VOLUME_CREATE_FAILED&resource_uuid={volume_id}")["messages"]
    assert (row["resource_type"], row["message_level"], row["user_message"]) == (
        "VOLUME", "ERROR", "volume.create: It broke.")
    assert cloud.get("/messages?resource_type=SNAPSHOT&limit=1")["messages"][0]["resource_type"] == "SNAPSHOT"
    assert cloud.get(f"/messages/{row['id']}")["message"] == row
    cloud.refused("GET", f"/messages/{row['id']}", status=404, token="other")
    cloud.refused("DELETE", f"/messages/{row['id']}", status=404, token="other")
    cloud.refused("GET", "/messages", status=404, version="3.2")
    assert cloud.get("/messages?message_level=INFO")["messages"] == []
    assert cloud.call("DELETE", f"/messages/{row['id']}").status_code == 204
    cloud.refused("GET", f"/messages/{row['id']}", status=404)
    cloud.refused("DELETE", f"/messages/{row['id']}", status=404)
    assert row not in cloud.get("/messages")["messages"]


def test_resource_filters(cloud: Cloud) -> None:
    rows = {row["resource"]: row["filters"] for row in cloud.get("/resource_filters")["resource_filters"]}
    assert "status" in rows["snapshot"]
    [row] = cloud.get("/resource_filters?resource=backup")["resource_filters"]
    assert row == {"resource": "backup", "filters": ["name", "status", "volume_id"]}
    cloud.refused("GET", "/resource_filters?resource=what", status=400)


@pytest.mark.contract("V-AZLIST")
def test_zones_are_those_of_storage_nodes(cloud: Cloud) -> None:
    zone_id = ids.new_id()
    cloud.add(Zone(id=zone_id, name="north"), Zone(id=ids.new_id(), name="compute-only"))
    cloud.add(VolumeNode(name="node2", zone_id=zone_id, enabled=False, last_seen_at=clock.utcnow()))
    assert cloud.get("/os-availability-zone", token="reader")["availabilityZoneInfo"] == [
        {"zoneName": "north", "zoneState": {"available": False}},
        {"zoneName": "nova", "zoneState": {"available": True}}]


def test_extensions(cloud: Cloud) -> None:
    aliases = [row["alias"] for row in cloud.get("/extensions")["extensions"]]
    assert "os-volume-transfer" in aliases and cloud.get("/extensions/backups")["extension"]["name"] == "Backups"
    cloud.refused("GET", "/extensions/what", status=404)


@pytest.mark.parametrize(("path", "member"), [
    ("/groups", "groups"), ("/group_types", "group_types"), ("/group_snapshots", "group_snapshots"),
    ("/consistencygroups", "consistencygroups"), ("/cgsnapshots", "cgsnapshots"), ("/clusters", "clusters")])
def test_what_there_never_is(cloud: Cloud, path: str, member: str) -> None:
    assert cloud.get(path, token="admin") == {member: []}
    assert cloud.get(f"{path}/detail", token="admin") == {member: []}
    cloud.refused("GET", f"{path}/{ids.new_id()}", status=404, token="admin")
    cloud.refused("POST", path, {"x": {}}, status=501, token="admin")


def test_workers_need_no_cleanup(cloud: Cloud) -> None:
    answer = cloud.call("POST", "/workers/cleanup", {}, token="admin")
    assert (answer.status_code, answer.json) == (202, {"cleaning": [], "unavailable": []})


def test_the_project_may_stand_in_the_path(cloud: Cloud) -> None:
    assert cloud.get(f"/{ids.bare(DEMO)}/limits") == cloud.get("/limits")
    cloud.refused("GET", f"/{ids.bare(OTHER)}/limits", status=400)


def test_methods_that_there_are_not(cloud: Cloud) -> None:
    assert cloud.call("DELETE", "/limits").status_code == 405
