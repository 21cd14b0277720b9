"""Words of the Block Storage API that clients compare, which differed from the reference's.

That no answer has members of our own is checked for all tests (`tests.harness.schemas.volume`).
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.harness.client import Client

V = "/volume/v3"
NEWEST = {"OpenStack-API-Version": "volume 3.71"}


@pytest.fixture
def volume_id(client: Client) -> str:
    made = str(client.post(f"{V}/volumes", {"volume": {"size": 1}}).json()["volume"]["id"])
    client.wait_volume(made, "available")
    return made


def act(client: Client, volume_id: str, action: str, argument: Any = None) -> Any:
    return client.post(f"{V}/volumes/{volume_id}/action", {action: argument}, headers=NEWEST)


def show(client: Client, volume_id: str) -> Any:
    return client.get(f"{V}/volumes/{volume_id}", headers=NEWEST).json()["volume"]


def test_os_reserve_shows_attaching(client: Client, volume_id: str) -> None:
    assert act(client, volume_id, "os-reserve").status_code == 202
    assert show(client, volume_id)["status"] == "attaching"
    assert act(client, volume_id, "os-unreserve").status_code == 202
    assert show(client, volume_id)["status"] == "available"


def test_the_readonly_flag_shows_once_it_was_set(client: Client, volume_id: str) -> None:
    assert "readonly" not in show(client, volume_id)["metadata"]
    for value, shown in ((True, "True"), (False, "False")):
        assert act(client, volume_id, "os-update_readonly_flag", {"readonly": value}).status_code == 202
        assert show(client, volume_id)["metadata"]["readonly"] == shown


def test_an_attachment_may_be_completed_before_it_is_connected(client: Client, volume_id: str) -> None:
    made = client.post(f"{V}/attachments", {"attachment": {"volume_uuid": volume_id}}, headers=NEWEST).json()
    path = f"{V}/attachments/{made['attachment']['id']}"
    assert client.post(f"{path}/action", {"os-complete": None}, headers=NEWEST).status_code == 204
    assert show(client, volume_id)["status"] == "in-use"
    assert client.request("DELETE", path, headers=NEWEST).status_code == 200
    assert show(client, volume_id)["status"] == "available"


def test_unmanaging_is_not_implemented_for_volumes_as_for_snapshots(client: Client, volume_id: str) -> None:
    assert act(client, volume_id, "os-unmanage").status_code == 501


def test_pools_and_capabilities_name_their_vendor_and_version(client: Client) -> None:
    for pool in client.get(f"{V}/scheduler-stats/get_pools?detail=true").json()["pools"]:
        assert pool["capabilities"]["vendor_name"] == "Hostler"
        assert pool["capabilities"]["driver_version"]
        shown = client.get(f"{V}/capabilities/{pool['name'].partition('#')[0]}").json()
        assert shown["driver_version"] == pool["capabilities"]["driver_version"]


@pytest.mark.parametrize(("body", "status"), [
    ({"snapshot": None}, 400), ({"snapshot": {"volume_id": None}}, 404), ({"snapshot": {"name": "x"}}, 400)])
def test_a_snapshot_of_no_volume_is_refused(client: Client, body: Any, status: int) -> None:
    assert client.post(f"{V}/snapshots", body, headers=NEWEST).status_code == status


def test_what_is_our_own_stands_apart(client: Client, volume_id: str) -> None:
    assert client.get(f"{V}/volumes/{volume_id}/hostler").json() == {"hostler": {"progress": None, "fault": None}}


def test_an_extension_under_a_server_is_in_the_servers_list(client: Client, image: str, volume_id: str) -> None:
    server_id = client.create_server(image)
    client.wait_server(server_id, "ACTIVE")
    client.post(f"/compute/v2.1/servers/{server_id}/os-volume_attachments",
                {"volumeAttachment": {"volumeId": volume_id}}).raise_for_status()
    client.wait_volume(volume_id, "in-use")
    assert act(client, volume_id, "os-extend", {"new_size": 2}).status_code == 202
    client.wait_volume(volume_id, "in-use")
    actions = client.get(f"/compute/v2.1/servers/{server_id}/os-instance-actions").json()["instanceActions"]
    assert "extend_volume" in [action["action"] for action in actions]
