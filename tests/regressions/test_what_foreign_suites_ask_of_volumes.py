"""Foreign suites met answers that the reference does not give: `os-attach` was 501, an empty id 405, and the server of
an extended volume had no event that says how it went."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.harness.client import Client
from tests.harness.ports import wait_for
from tests.harness.volume_words import V3, attach, make_volume, wait_volume

SERVERS = "/compute/v2.1/servers"


@pytest.fixture
def server(client: Client, image: str) -> Iterator[str]:
    server_id = client.create_server(image, "asked")
    client.wait_server(server_id, "ACTIVE")
    yield server_id
    client.delete(f"{SERVERS}/{server_id}")


def act(client: Client, volume: str, action: str, argument: Any, version: str = "3.0") -> Any:
    return client.post(f"{V3}/volumes/{volume}/action", {action: argument},
                       headers={"OpenStack-API-Version": f"volume {version}"})


def test_a_volume_is_recorded_as_attached_and_let_go(client: Client, server: str) -> None:
    volume = make_volume(client)
    argument = {"instance_uuid": server, "mountpoint": "/dev/vdc"}
    assert act(client, volume, "os-attach", argument).status_code == 202
    shown = wait_volume(client, volume, "in-use")
    [attachment] = shown["attachments"]
    assert (attachment["device"], attachment["server_id"], attachment["id"], attachment["volume_id"]) == (
        "/dev/vdc", server, volume, volume)
    # No disk came with it: the server has no such volume.
    assert client.get(f"{SERVERS}/{server}/os-volume_attachments").json()["volumeAttachments"] == []
    assert act(client, volume, "os-detach", {}).status_code == 202
    assert wait_volume(client, volume, "available")["attachments"] == []


def test_the_event_of_an_extension(client: Client, server: str) -> None:
    volume = make_volume(client)
    assert attach(client, server, volume).status_code == 200
    wait_volume(client, volume, "in-use")
    assert act(client, volume, "os-extend", {"new_size": 2}, "3.42").status_code == 202
    wait_for(lambda: client.get(f"{V3}/volumes/{volume}").json()["volume"]["size"] == 2, "the extension")
    listed = client.get(f"{SERVERS}/{server}/os-instance-actions").json()["instanceActions"]
    [action] = [row for row in listed if row["action"] == "extend_volume"]
    path = f"{SERVERS}/{server}/os-instance-actions/{action['request_id']}"
    [event] = client.get(path).json()["instanceAction"]["events"]
    assert (event["event"], event["result"]) == ("compute_extend_volume", "Success")
    assert event["start_time"] and event["finish_time"]


@pytest.mark.parametrize("path", [f"{V3}/volumes/", f"{V3}/snapshots/", f"{V3}/types/", f"{SERVERS}/",
                                  "/identity/v3/users/", "/network/v2.0/ports/", "/image/v2/images/"])
def test_an_empty_id_names_nothing(client: Client, path: str) -> None:
    for method in ("PUT", "DELETE"):
        assert client.request(method, path, json={}).status_code == 404, method
        assert client.request(method, path.rstrip("/"), json={}).status_code == 405, method
