"""Several servers of one request get a number to their names: 255 characters became 257, and host names 65.

PostgreSQL and MariaDB answered 500, SQLite stored them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from hostler.db.engine import Database
from tests.harness.compute_rest import build

HOSTS = ("a" * 63, "web." + "b" * 63, ".".join(["c" * 60] * 4), "short")


def test_names_and_hostnames_fit(database_url: str, tmp_path: Path) -> None:
    """Given the longest names, when two servers are made, then both have names of their own that fit everywhere."""
    cloud = build(tmp_path, url=database_url)
    for hostname in HOSTS:
        answer = cloud.call("POST", "/servers", {"server": {
            "name": "n" * 254, "hostname": hostname, "flavorRef": "1", "networks": "none", "min_count": 2,
            "imageRef": "55555555-5555-4555-8555-555555555555"}})
        assert answer.status_code == 202, answer.text
    answer = cloud.call("POST", "/servers", {"server": {
        "name": "x" * 255, "flavorRef": "1", "networks": "none", "min_count": 2,
        "imageRef": "55555555-5555-4555-8555-555555555555"}})
    assert answer.status_code == 202, answer.text
    found = cloud.get("/servers/detail")["servers"]
    assert len(found) == 2 * len(HOSTS) + 2
    hostnames = [server["OS-EXT-SRV-ATTR:hostname"] for server in found]
    assert len(set(hostnames)) == len(hostnames)
    for server, hostname in zip(found, hostnames, strict=True):
        assert server["name"][-2:] in ("-1", "-2") and len(server["name"]) == 255
        assert hostname[-2:] == server["name"][-2:] and len(hostname) <= 255
        assert all(0 < len(label) <= 63 for label in hostname.split("."))
    cloud.services.db.dispose()


def test_a_host_name_without_room_is_refused(tmp_path: Path) -> None:
    cloud = build(tmp_path)
    full = ".".join(["d" * 62] * 4)[:251] + ".com"
    answer = cloud.call("POST", "/servers", {"server": {
        "name": "n", "hostname": full, "flavorRef": "1", "networks": "none", "min_count": 200,
        "imageRef": "55555555-5555-4555-8555-555555555555"}})
    assert answer.status_code in (400, 403), answer.text
    assert isinstance(cloud.services.db, Database)
    cloud.services.db.dispose()


@pytest.mark.parametrize("name", ["N", "My Web_1!"])
def test_one_server_keeps_its_name(tmp_path: Path, name: str) -> None:
    cloud = build(tmp_path)
    server = cloud.boot(name, networks="none")
    assert cloud.get(f"/servers/{server['id']}")["server"]["name"] == name
    cloud.services.db.dispose()
