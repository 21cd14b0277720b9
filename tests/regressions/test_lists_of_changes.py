"""A list of changes that ends before it begins was empty, where the reference answers 400.

And `changes-before` alone left out the servers that were deleted by then.
"""

from __future__ import annotations

import pytest

from tests.harness.client import Client

SERVERS = "/compute/v2.1/servers"
FUTURE = "2099-01-01T00:00:00Z"


@pytest.fixture(scope="module")
def gone(client: Client, image: str) -> str:
    server_id = client.create_server(image, networks="none")
    client.wait_server(server_id, "ACTIVE")
    client.delete(f"{SERVERS}/{server_id}")
    client.wait_gone(server_id)
    return server_id


def test_changes_before_a_time_include_deletions(client: Client, gone: str) -> None:
    for query in (f"changes-before={FUTURE}", f"changes-since=2020-01-01&changes-before={FUTURE}"):
        servers = client.get(f"{SERVERS}/detail?{query}").json()["servers"]
        listed = {server["id"]: server["status"] for server in servers}
        assert listed[gone] == "DELETED"
    old = {"OpenStack-API-Version": "compute 2.65"}  # passed over until 2.66
    assert client.get(f"{SERVERS}?changes-before={FUTURE}", headers=old).json()["servers"] == []


@pytest.mark.parametrize("path", [SERVERS, f"{SERVERS}/detail", "/compute/v2.1/os-migrations", "actions"])
def test_a_list_of_changes_ends_after_it_begins(client: Client, gone: str, path: str) -> None:
    path = path if path != "actions" else f"{SERVERS}/{gone}/os-instance-actions"
    refused = client.get(f"{path}?changes-since=2030-01-01T00:00:00Z&changes-before=2020-01-01T00:00:00Z")
    assert refused.status_code == 400 and "changes-since" in refused.text
    same = "2030-01-01T00:00:00Z"
    assert client.get(f"{path}?changes-since={same}&changes-before={same}").status_code == 200
    zoned = client.get(f"{path}?changes-since=2030-01-01T00:00:00%2B02:00&changes-before=2029-12-31T23:00:00Z")
    assert zoned.status_code == 200
