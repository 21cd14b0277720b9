"""Hypervisors by microversion: ids, sizes, servers, paging, search, and who may look."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from hostler.resources.server import allocations
from tests.harness.compute_rest import HOST, Cloud
from tests.harness.fleet_core import SECOND, set_host

Get = Callable[..., Any]
VERSIONS = ("2.1", "2.27", "2.28", "2.33", "2.52", "2.53", "2.74", "2.75", "2.87", "2.88", "2.96")


@pytest.mark.parametrize("version", VERSIONS)
def test_every_answer_in_every_version(get: Get, version: str) -> None:
    minor = int(version.split(".")[1])
    first = "1" if minor < 53 else HOST
    assert len(get("/os-hypervisors", version)["hypervisors"]) == 2
    detail = get("/os-hypervisors/detail", version)["hypervisors"][0]
    shown = get(f"/os-hypervisors/{first}", version)["hypervisor"]
    assert shown == detail
    assert str(shown["id"]) == first
    assert ("uptime" in shown, "vcpus" in shown) == (minor >= 88, minor < 88)
    old_only = 200 if minor < 53 else 404
    get(f"/os-hypervisors/{first}/uptime", version, 200 if minor < 88 else 404)
    get("/os-hypervisors/statistics", version, 200 if minor < 88 else 404)
    get("/os-hypervisors/host-1/search", version, old_only)
    get("/os-hypervisors/host-1/servers", version, old_only)


def test_sizes_count_claims_and_reserves(cloud: Cloud, get: Get) -> None:
    server_id = cloud.running()
    cloud.services.db.write(lambda session: allocations.claim(
        session, consumer_id=server_id, host_id=HOST, expected_generation=0, vcpus=2, ram_mib=1024, disk_gib=10))
    first, second = get("/os-hypervisors/detail", "2.87")["hypervisors"]
    assert (first["vcpus"], first["vcpus_used"]) == (8, 2)
    assert (first["memory_mb_used"], first["free_ram_mb"], first["free_disk_gb"]) == (1024, 7168, 90)
    assert first["running_vms"] == 1 and second["running_vms"] == 0
    assert second["memory_mb_used"] == 512 and second["cpu_info"] == {"vendor": "Intel"}
    assert (first["state"], second["state"]) == ("up", "down")
    total = get("/os-hypervisors/statistics", "2.87")["hypervisor_statistics"]
    assert (total["count"], total["vcpus"], total["vcpus_used"], total["memory_mb_used"]) == (2, 12, 2, 1536)


def test_with_servers(cloud: Cloud, get: Get) -> None:
    server_id = cloud.running(name="web")
    rows = get("/os-hypervisors?with_servers=true", "2.74")["hypervisors"]
    assert rows[0]["servers"] == [{"name": "web", "uuid": server_id}] and "servers" not in rows[1]
    rows = get("/os-hypervisors?with_servers=true", "2.75")["hypervisors"]
    assert [len(row["servers"]) for row in rows] == [1, 0]
    assert "servers" not in get("/os-hypervisors", "2.75")["hypervisors"][0]
    assert len(get(f"/os-hypervisors/{HOST}?with_servers=1")["hypervisor"]["servers"]) == 1
    assert get("/os-hypervisors/host-1/servers", "2.52")["hypervisors"][0]["servers"][0]["uuid"] == server_id


def test_pages(get: Get) -> None:
    page = get("/os-hypervisors?limit=1")
    assert [row["id"] for row in page["hypervisors"]] == [HOST]
    assert f"marker={HOST}" in page["hypervisors_links"][0]["href"]
    last = get(f"/os-hypervisors?limit=1&marker={HOST}")
    assert [row["id"] for row in last["hypervisors"]] == [SECOND]
    # A full page links to the next one, as the reference does, even when that turns out to be empty.
    assert get(f"/os-hypervisors?limit=1&marker={SECOND}") == {"hypervisors": []}
    assert len(get("/os-hypervisors?limit=1&marker=1", "2.33")["hypervisors"]) == 1
    get("/os-hypervisors?marker=nobody", status=400)
    get("/os-hypervisors?marker=nobody", "2.33", 400)
    get("/os-hypervisors?limit=-1", status=400)


def test_search_by_pattern(get: Get) -> None:
    assert [row["id"] for row in get("/os-hypervisors?hypervisor_hostname_pattern=HOST-2")["hypervisors"]] == [SECOND]
    get("/os-hypervisors?hypervisor_hostname_pattern=nobody", status=404)
    get("/os-hypervisors?hypervisor_hostname_pattern=%25", status=400)
    get("/os-hypervisors?hypervisor_hostname_pattern=host&limit=1", status=400)
    get("/os-hypervisors?unknown=1", status=400)
    assert len(get("/os-hypervisors?unknown=1", "2.52")["hypervisors"]) == 2


def test_a_sick_host_says_so(cloud: Cloud, get: Get) -> None:
    set_host(cloud, healthy=False, unhealthy_reason="libvirt is silent", uptime_s=90061)
    shown = get(f"/os-hypervisors/{HOST}")["hypervisor"]
    assert shown["status"] == "disabled" and shown["service"]["disabled_reason"] == "AUTO: libvirt is silent"
    assert shown["uptime"] == "up 1 day, 1:01"


def test_down_hosts_have_no_uptime(get: Get) -> None:
    assert get(f"/os-hypervisors/{SECOND}")["hypervisor"]["uptime"] is None
    get(f"/os-hypervisors/{SECOND}/uptime", "2.87", 400)


def test_unknown_ids(get: Get) -> None:
    get("/os-hypervisors/99", "2.52", 404)
    get("/os-hypervisors/x", "2.52", 404)
    get("/os-hypervisors/x", status=400)
    get("/os-hypervisors/99999999-9999-4999-8999-999999999999", status=404)


@pytest.mark.parametrize("path", ["", "/detail", f"/{HOST}"])
def test_members_may_not_look(cloud: Cloud, path: str) -> None:
    assert cloud.call("GET", f"/os-hypervisors{path}").status_code == 403


def test_lists_are_a_fixed_number_of_statements(cloud: Cloud, get: Get) -> None:
    statements: list[str] = []
    sa.event.listen(cloud.services.db.engine, "before_cursor_execute",
                    lambda _conn, _cursor, text, *_rest: statements.append(text))
    cloud.running()
    statements.clear()
    get("/os-hypervisors/detail?with_servers=true")
    assert len(statements) == 5
