"""Versions, quotas, limits, server groups, usage, extensions, and errors in general."""

from __future__ import annotations

import datetime as dt

import pytest

from hostler import clock
from tests.harness.compute_rest import DEMO, IMAGE, OTHER, Cloud


def test_version_documents_need_no_token(cloud: Cloud) -> None:
    (listed,) = cloud.client.simulate_get("/compute").json["versions"]
    shown = cloud.client.simulate_get("/compute/v2.1/").json["version"]
    assert listed["id"] == shown["id"] == "v2.1"
    assert (shown["min_version"], shown["version"], shown["status"]) == ("2.1", "2.96", "CURRENT")
    assert shown["links"][0]["href"].endswith("/compute/v2.1/")


@pytest.mark.parametrize(("headers", "status", "version"), [
    ({}, 200, "2.1"),
    ({"OpenStack-API-Version": "compute 2.37"}, 200, "2.37"),
    ({"OpenStack-API-Version": "volume 3.1, compute latest"}, 200, "2.96"),
    ({"X-OpenStack-Nova-API-Version": "2.10"}, 200, "2.10"),
    ({"OpenStack-API-Version": "volume 3.1"}, 200, "2.1"),
    ({"OpenStack-API-Version": "compute 2.97"}, 406, "2.1"),
    ({"OpenStack-API-Version": "compute 2"}, 400, "2.1"),
])
def test_negotiation(cloud: Cloud, headers: dict[str, str], status: int, version: str) -> None:
    answer = cloud.client.simulate_get("/compute/v2.1/flavors", headers={"X-Auth-Token": "member", **headers})
    assert answer.status_code == status
    assert answer.headers["openstack-api-version"] == f"compute {version}"
    assert answer.headers["x-openstack-nova-api-version"] == version
    assert "OpenStack-API-Version" in answer.headers["vary"]
    if status == 406:
        assert "Minimum is 2.1 and maximum is 2.96" in answer.text


def test_errors_keep_the_published_shape(cloud: Cloud) -> None:
    assert cloud.call("GET", "/nothing").json["itemNotFound"]["code"] == 404
    assert cloud.call("PATCH", "/servers").json["badMethod"]["code"] == 405
    assert "badRequest" in cloud.client.simulate_post(
        "/compute/v2.1/servers", body="{", headers={"X-Auth-Token": "member"}).json
    assert cloud.client.simulate_get("/compute/v2.1/servers").json["unauthorized"]["code"] == 401
    assert cloud.call("POST", "/servers", []).status_code == 400


def test_quota_sets(cloud: Cloud) -> None:
    path = f"/os-quota-sets/{DEMO.replace('-', '')}"
    assert cloud.get(path)["quota_set"]["instances"] == 10
    assert cloud.get(path + "/defaults")["quota_set"]["cores"] == 20
    cloud.boot()
    assert cloud.get(path + "/detail")["quota_set"]["ram"] == {"limit": 51200, "in_use": 512, "reserved": 0}
    assert cloud.call("GET", f"/os-quota-sets/{OTHER}").status_code == 403
    change = {"quota_set": {"instances": 0}}
    assert cloud.call("PUT", path, change).status_code == 403
    assert cloud.call("PUT", path, change, token="admin").status_code == 400
    forced = cloud.call("PUT", path, {"quota_set": {"instances": "0", "force": True}}, token="admin")
    assert forced.json["quota_set"]["instances"] == 0
    assert cloud.call("PUT", path, {"quota_set": {"floating_ips": 1}}, token="admin").status_code == 400
    old = cloud.call("PUT", path, {"quota_set": {"floating_ips": 1, "injected_files": 5}}, token="admin", version="2.1")
    assert (old.json["quota_set"]["floating_ips"], old.json["quota_set"]["injected_files"]) == (1, 5)  # read back
    assert cloud.get(path, version="2.1")["quota_set"]["injected_files"] == 5
    assert cloud.call("DELETE", path, token="admin").status_code == 202
    assert cloud.get(path)["quota_set"]["instances"] == 10
    assert cloud.call("GET", f"/os-quota-sets/{IMAGE}", token="admin").status_code == 400
    assert "fixed_ips" in cloud.get(path, version="2.35")["quota_set"]
    assert "fixed_ips" not in cloud.get(path, version="2.36")["quota_set"]
    assert cloud.get("/os-quota-class-sets/default", token="admin")["quota_class_set"]["ram"] == 51200


def test_a_quota_class(cloud: Cloud) -> None:
    path, change = "/os-quota-class-sets/default", {"quota_class_set": {"instances": 1, "cores": "7"}}
    assert cloud.call("PUT", path, change).status_code == 403
    assert cloud.call("PUT", path, {"quota_class_set": {"instances": -2}}, token="admin").status_code == 400
    assert cloud.call("PUT", "/os-quota-class-sets/gold", change, token="admin").status_code == 501
    answer = cloud.call("PUT", path, change, token="admin")
    assert answer.status_code == 200 and answer.json["quota_class_set"]["cores"] == 7
    for place in (path, f"/os-quota-sets/{OTHER}", f"/os-quota-sets/{OTHER}/defaults"):
        [found] = cloud.get(place, token="admin").values()
        assert (found["instances"], found["cores"], found["ram"]) == (1, 7, 51200), place
    fixed = cloud.call("PUT", path, {"quota_class_set": {"fixed_ips": 3}}, token="admin", version="2.1")
    assert fixed.json["quota_class_set"]["fixed_ips"] == 3
    cloud.boot()
    assert cloud.get("/limits")["limits"]["absolute"]["maxTotalInstances"] == 1


def test_limits(cloud: Cloud) -> None:
    cloud.boot()
    absolute = cloud.get("/limits")["limits"]["absolute"]
    assert (absolute["totalInstancesUsed"], absolute["maxTotalInstances"]) == (1, 10)
    assert "maxPersonality" in cloud.get("/limits", version="2.56")["limits"]["absolute"]
    assert cloud.call("GET", f"/limits?tenant_id={OTHER}").status_code == 403
    assert cloud.get(f"/limits?tenant_id={OTHER}", token="admin")["limits"]["absolute"]["totalInstancesUsed"] == 0


def test_server_groups(cloud: Cloud) -> None:
    made = cloud.call("POST", "/os-server-groups", {"server_group": {
        "name": "g", "policy": "anti-affinity", "rules": {"max_server_per_host": 2}}}).json["server_group"]
    assert made["rules"] == {"max_server_per_host": 2} and made["members"] == []
    answer = cloud.call("POST", "/servers", {
        "server": {"name": "n", "flavorRef": "1", "imageRef": IMAGE, "networks": "none"},
        "os:scheduler_hints": {"group": made["id"]}})
    server_id = answer.json["server"]["id"]
    assert cloud.get(f"/os-server-groups/{made['id']}")["server_group"]["members"] == [server_id]
    assert cloud.get(f"/servers/{server_id}")["server"]["server_groups"] == [made["id"]]
    assert cloud.get("/os-server-groups", version="2.63")["server_groups"][0]["policies"] == ["anti-affinity"]
    assert cloud.call("GET", f"/os-server-groups/{made['id']}", token="other").status_code == 404
    for group in ({"name": "g", "policy": "affinity", "rules": {"max_server_per_host": 2}},
                  {"name": "g", "policy": "nope"}, {"name": "g"}):
        assert cloud.call("POST", "/os-server-groups", {"server_group": group}).status_code == 400
    soft = {"server_group": {"name": "g", "policies": ["soft-affinity"]}}
    assert cloud.call("POST", "/os-server-groups", soft, version="2.14").status_code == 400
    assert cloud.call("POST", "/os-server-groups", soft, version="2.15").status_code == 200
    assert cloud.call("DELETE", f"/os-server-groups/{made['id']}").status_code == 204
    assert cloud.call("DELETE", f"/os-server-groups/{made['id']}").status_code == 404
    bad = cloud.call("POST", "/servers", {
        "server": {"name": "n", "flavorRef": "1", "imageRef": IMAGE, "networks": "none"},
        "os:scheduler_hints": {"group": made["id"]}})
    assert bad.status_code == 400


def test_usage(cloud: Cloud) -> None:
    server_id = cloud.running()
    now = clock.utcnow()
    cloud.settle(server_id, launched_at=now - dt.timedelta(hours=2))
    period = f"start={(now - dt.timedelta(hours=1)).isoformat()}&end={now.isoformat()}"
    usage = cloud.get(f"/os-simple-tenant-usage/{DEMO}?{period}")["tenant_usage"]
    assert usage["total_hours"] == pytest.approx(1.0) and usage["total_memory_mb_usage"] == pytest.approx(512.0)
    assert cloud.call("GET", f"/os-simple-tenant-usage?{period}").status_code == 403
    (listed,) = cloud.get(f"/os-simple-tenant-usage?{period}&detailed=1", token="admin")["tenant_usages"]
    assert listed["server_usages"][0]["instance_id"] == server_id
    assert cloud.call("GET", f"/os-simple-tenant-usage/{DEMO}?start=x").status_code == 400


def test_extensions_and_empty_lists(cloud: Cloud) -> None:
    listed = {row["alias"] for row in cloud.get("/extensions")["extensions"]}
    assert {"NMN", "OS-EXT-IMG-SIZE", "OS-EXT-STS", "os-consoles", "os-flavor-manage", "os-keypairs"} <= listed
    assert not {"servers", "flavors", "limits", "os-cells"} & listed
    assert cloud.get("/extensions/os-keypairs")["extension"]["name"] == "Keypairs"
    assert cloud.call("GET", "/extensions/nope").status_code == 404
    assert cloud.get("/os-migrations", token="admin") == {"migrations": []}
    assert cloud.call("GET", "/os-tenant-networks").status_code == 404
    server_id = cloud.running()
    assert cloud.get(f"/servers/{server_id}/migrations", token="admin") == {"migrations": []}
    assert cloud.call("POST", f"/servers/{server_id}/remote-consoles", {}).status_code == 400
