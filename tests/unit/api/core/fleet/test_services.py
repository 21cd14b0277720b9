"""Services: lists by version, taking a host out of service in both styles, force-down, deletion, and zones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from hostler.db.models import Host
from tests.harness.compute_rest import HOST, Cloud
from tests.harness.fleet_core import SECOND

Get = Callable[..., Any]


@pytest.mark.parametrize("version", ["2.1", "2.10", "2.11", "2.52", "2.53", "2.69", "2.96"])
def test_list_in_every_version(get: Get, version: str) -> None:
    minor = int(version.split(".")[1])
    rows = get("/os-services", version)["services"]
    assert [(row["binary"], row["host"], row["zone"], row["state"]) for row in rows] == [
        ("nova-compute", "host-1", "nova", "up"), ("nova-compute", "host-2", "nova", "down"),
        ("nova-conductor", "control-1", "internal", "up")]
    assert len({row["id"] for row in rows}) == 3
    assert all(("forced_down" in row) == (minor >= 11) for row in rows)
    assert isinstance(rows[0]["id"], int if minor < 53 else str)


def test_filters(get: Get) -> None:
    assert [row["host"] for row in get("/os-services?host=host-2")["services"]] == ["host-2"]
    assert [row["host"] for row in get("/os-services?binary=nova-conductor")["services"]] == ["control-1"]
    assert get("/os-services?binary=nova-compute&host=control-1")["services"] == []
    get("/os-services?colour=red", status=400)
    assert len(get("/os-services?colour=red", "2.74")["services"]) == 3


def put(cloud: Cloud, what: str, body: Any, version: str = "2.96", status: int = 200, token: str = "admin") -> Any:
    answer = cloud.call("PUT", f"/os-services/{what}", body, token=token, version=version)
    assert answer.status_code == status, answer.text
    return answer.json


def test_old_style(cloud: Cloud, get: Get) -> None:
    where = {"host": "host-1", "binary": "nova-compute"}
    assert put(cloud, "disable", where, "2.1") == {"service": {**where, "status": "disabled"}}
    reason = {**where, "disabled_reason": "smoke"}
    assert put(cloud, "disable-log-reason", reason, "2.1") == {"service": {**reason, "status": "disabled"}}
    assert get("/os-services?host=host-1")["services"][0]["disabled_reason"] == "smoke"
    assert put(cloud, "enable", where, "2.1") == {"service": {**where, "status": "enabled"}}
    row = get("/os-services?host=host-1")["services"][0]
    assert (row["status"], row["disabled_reason"]) == ("enabled", None)
    assert put(cloud, "force-down", {**where, "forced_down": True}, "2.11") == {"service": {**where,
                                                                                          "forced_down": True}}
    assert get("/os-services?host=host-1")["services"][0]["state"] == "down"
    put(cloud, "force-down", where, "2.10", 404)
    put(cloud, "force-down", where, "2.11", 400)
    put(cloud, "disable-log-reason", where, "2.1", 400)
    put(cloud, "explode", where, "2.1", 404)
    put(cloud, "enable", {**where, "host": "nobody"}, "2.1", 404)
    put(cloud, "enable", {**where, "binary": "nova-nothing"}, "2.1", 404)
    put(cloud, "disable", {"host": "control-1", "binary": "nova-conductor"}, "2.1", 400)
    put(cloud, "enable", {"host": 1, "binary": "nova-compute"}, "2.1", 400)
    put(cloud, "enable", where, "2.1", 403, token="member")


def test_new_style(cloud: Cloud) -> None:
    shown = put(cloud, HOST, {"status": "disabled", "disabled_reason": "smoke"})["service"]
    assert (shown["id"], shown["status"], shown["disabled_reason"]) == (HOST, "disabled", "smoke")
    shown = put(cloud, HOST, {"forced_down": True})["service"]
    assert (shown["status"], shown["forced_down"], shown["state"]) == ("disabled", True, "down")
    shown = put(cloud, HOST, {"status": "enabled", "forced_down": False})["service"]
    assert (shown["status"], shown["state"], shown["disabled_reason"]) == ("enabled", "up", None)
    put(cloud, HOST, {}, status=400)
    put(cloud, HOST, {"disabled_reason": "x"}, status=400)
    put(cloud, HOST, {"status": "on"}, status=400)
    put(cloud, "enable", {"status": "enabled"}, status=400)
    put(cloud, "99999999-9999-4999-8999-999999999999", {"status": "enabled"}, status=404)


def test_schedulers_are_told(cloud: Cloud) -> None:
    def changed_at() -> Any:
        with cloud.services.db.reading() as session:
            return session.scalar(sa.select(Host.changed_at).where(Host.id == HOST))

    before = changed_at()
    put(cloud, HOST, {"status": "disabled"})
    assert changed_at() > before


def test_control_services_cannot_be_disabled(cloud: Cloud, get: Get) -> None:
    conductor = get("/os-services?binary=nova-conductor")["services"][0]["id"]
    put(cloud, conductor, {"status": "disabled"}, status=400)


def delete(cloud: Cloud, identity: object, version: str = "2.96") -> int:
    return int(cloud.call("DELETE", f"/os-services/{identity}", token="admin", version=version).status_code)


def test_delete(cloud: Cloud, get: Get) -> None:
    server_id = cloud.running()
    assert delete(cloud, HOST) == 409
    cloud.settle(server_id, vm_state="active", host_id=None)
    assert cloud.call("POST", "/os-aggregates", {"aggregate": {"name": "a"}}, token="admin").status_code == 200
    assert cloud.call("POST", "/os-aggregates/1/action", {"add_host": {"host": "host-1"}},
                      token="admin").status_code == 200
    assert delete(cloud, HOST) == 204
    assert delete(cloud, HOST) == 404
    assert delete(cloud, "x") == 400
    conductor = get("/os-services?binary=nova-conductor", "2.52")["services"][0]["id"]
    assert delete(cloud, conductor, "2.52") == 204
    assert [row["id"] for row in get("/os-services")["services"]] == [SECOND]
    assert delete(cloud, get("/os-services", "2.1")["services"][0]["id"], "2.1") == 204
    assert get("/os-services")["services"] == []


def test_zones_for_everybody_and_the_tree_for_administrators(cloud: Cloud, get: Get) -> None:
    answer = cloud.call("GET", "/os-availability-zone")
    assert answer.json == {"availabilityZoneInfo": [
        {"zoneName": "nova", "zoneState": {"available": True}, "hosts": None}]}
    assert cloud.call("GET", "/os-availability-zone/detail").status_code == 403
    internal, nova = get("/os-availability-zone/detail")["availabilityZoneInfo"]
    assert internal["zoneName"] == "internal" and list(internal["hosts"]["control-1"]) == ["nova-conductor"]
    assert {host: (one["nova-compute"]["active"], one["nova-compute"]["available"])
            for host, one in nova["hosts"].items()} == {"host-1": (True, True), "host-2": (True, False)}
    for host in (HOST, SECOND):
        put(cloud, host, {"status": "disabled"})
    assert get("/os-availability-zone")["availabilityZoneInfo"][0]["zoneState"] == {"available": False}
