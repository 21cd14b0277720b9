"""Rebuilding servers, as a user sees it, on fake hosts."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from hostler.agent.faults import Order
from tests.harness.client import Client
from tests.harness.inprocess import Cloud
from tests.harness.ports import wait_for

SERVERS = "/compute/v2.1/servers"


@pytest.fixture
def server(client: Client, image: str) -> Iterator[str]:
    """A server of a test's own."""
    server_id = client.create_server(image, "one", metadata={"a": "b"})
    client.wait_server(server_id, "ACTIVE")
    yield server_id
    client.delete(f"{SERVERS}/{server_id}")
    client.wait_gone(server_id)


@pytest.fixture(scope="module")
def shared(client: Client, image: str) -> str:
    """A server that tests leave as it is."""
    server_id = client.create_server(image, "shared", metadata={"a": "b"})
    client.wait_server(server_id, "ACTIVE")
    return server_id


def _rebuild(client: Client, server: str, image: str, version: str = "2.96", **more: Any) -> requests.Response:
    return client.post(f"{SERVERS}/{server}/action", {"rebuild": {"imageRef": image, **more}},
                       headers={"OpenStack-API-Version": f"compute {version}"})


def _show(client: Client, server: str) -> dict[str, Any]:
    return client.show(server) or {}


def _disk(cloud: Cloud, client: Client, server: str) -> Path:
    host = _show(client, server)["OS-EXT-SRV-ATTR:host"]
    return cloud.directory / host / "compute" / "servers" / server / "disk"


def _settled(client: Client, server: str, status: str = "ACTIVE") -> dict[str, Any]:
    wait_for(lambda: _show(client, server)["OS-EXT-STS:task_state"] is None, "rebuilt", 20)
    found = _show(client, server)
    assert found["status"] == status, found.get("fault")
    return found


@pytest.mark.contract("N-REBUILD")
def test_a_server_is_another_and_the_same(cloud: Cloud, client: Client, server: str) -> None:
    before, other = _show(client, server), client.make_image("other", b"\1" * 1048576)
    disk = _disk(cloud, client, server)
    disk.write_bytes(b"written by the guest")
    script = base64.b64encode(b"#!/bin/sh").decode()
    answer = _rebuild(client, server, other, name="two", metadata={"c": "d"}, description="again", adminPass="secret",
                      user_data=script, accessIPv4="192.0.2.7", key_name=None)
    assert answer.status_code == 202, answer.text
    shown = answer.json()["server"]
    assert (shown["id"], shown["adminPass"], shown["status"]) == (server, "secret", "REBUILD")
    assert answer.headers["Location"].endswith(f"{SERVERS}/{server}")
    after = _settled(client, server)
    assert disk.read_bytes() == b""
    assert (after["name"], after["metadata"], after["description"]) == ("two", {"c": "d"}, "again")
    assert (after["image"]["id"], after["OS-EXT-SRV-ATTR:user_data"]) == (other, script)
    for name in ("id", "addresses", "hostId", "flavor", "created", "OS-EXT-SRV-ATTR:host"):
        assert after[name] == before[name], name
    actions = client.get(f"{SERVERS}/{server}/os-instance-actions").json()["instanceActions"]
    assert actions[0]["action"] == "rebuild"


@pytest.mark.parametrize("version", ["2.1", "2.18", "2.53", "2.56", "2.57", "2.62", "2.74", "2.75", "2.90", "2.93"])
def test_every_version_has_its_answer(client: Client, shared: str, image: str, version: str) -> None:
    answer = _rebuild(client, shared, image, version)
    assert answer.status_code == 202, answer.text
    shown, number = answer.json()["server"], int(version[2:])
    assert len(shown["adminPass"]) == 12
    assert ("key_name" in shown, "user_data" in shown) == (number >= 54, number >= 57)
    assert ("OS-EXT-STS:vm_state" in shown) == (number >= 75)
    _settled(client, shared)


def test_a_stopped_server_stays_off(cloud: Cloud, client: Client, server: str, image: str) -> None:
    client.post(f"{SERVERS}/{server}/action", {"os-stop": None}).raise_for_status()
    client.wait_server(server, "SHUTOFF")
    _disk(cloud, client, server).write_bytes(b"old")
    assert _rebuild(client, server, image).json()["server"]["status"] == "REBUILD"
    after = _settled(client, server, "SHUTOFF")
    assert after["OS-EXT-STS:power_state"] == 4
    assert _disk(cloud, client, server).read_bytes() == b""


def test_a_rebuild_that_fails_is_in_error_and_the_next_one_heals_it(cloud: Cloud, client: Client, server: str,
                                                                     image: str) -> None:
    host = _show(client, server)["OS-EXT-SRV-ATTR:host"]
    cloud.agents[host].tools.driver.faults.order(Order("driver.create:before", "fail", server, reason="No memory."))
    assert _rebuild(client, server, image).status_code == 202
    assert _settled(client, server, "ERROR")["fault"]["message"] == "No memory."
    assert _rebuild(client, server, image).json()["server"]["status"] == "REBUILD"
    assert "fault" not in _settled(client, server)


@pytest.mark.parametrize(("more", "version", "status", "said"), [
    ({"preserve_ephemeral": True}, "2.96", 400, "preserving ephemeral"),
    ({"trusted_image_certificates": ["a"]}, "2.96", 501, "trusted_image_certificates"),
    ({"personality": [{"path": "/x", "contents": ""}]}, "2.56", 501, "personality"),
    ({"personality": []}, "2.57", 400, "personality"), ({"description": "x"}, "2.18", 400, "description"),
    ({"key_name": "x"}, "2.53", 400, "key_name"), ({"user_data": "eA=="}, "2.56", 400, "user_data"),
    ({"user_data": "no base64!"}, "2.96", 400, "user_data"), ({"key_name": "nobody's"}, "2.96", 400, "key_name"),
    ({"hostname": "x"}, "2.89", 400, "hostname"), ({"name": ""}, "2.96", 400, "name"),
    ({"metadata": {"a": 7}}, "2.96", 400, "metadata"), ({"accessIPv4": "x"}, "2.96", 400, "accessIPv4"),
    ({"more": 1}, "2.96", 400, "more"), ({"imageRef": "x"}, "2.96", 400, "imageRef"),
    ({"imageRef": "00000000-0000-4000-8000-000000000000"}, "2.96", 400, "requested image"),
    ({"OS-DCF:diskConfig": "SOME"}, "2.96", 400, "diskConfig")])
def test_bad_input_is_refused_and_changes_nothing(client: Client, shared: str, image: str, more: dict[str, Any],
                                                  version: str, status: int, said: str) -> None:
    before = _show(client, shared)
    answer = _rebuild(client, shared, image, version, **more)
    assert answer.status_code == status and said in answer.text, answer.text
    assert _show(client, shared) == before


def test_an_image_that_does_not_fit_is_refused(client: Client, server: str) -> None:
    made = client.post("/image/v2/images", {"name": "large", "disk_format": "raw", "container_format": "bare",
                                            "min_disk": 9}).json()["id"]
    assert "is not active" in _rebuild(client, server, made).text
    client.request("PUT", f"/image/v2/images/{made}/file", data=b"\0" * 1024,
                   headers={"Content-Type": "application/octet-stream"}).raise_for_status()
    answer = _rebuild(client, server, made)
    assert answer.status_code == 400 and "minimum size" in answer.text


def test_a_paused_or_locked_server_is_not_rebuilt(client: Client, server: str, image: str) -> None:
    client.post(f"{SERVERS}/{server}/action", {"pause": None}).raise_for_status()
    client.wait_server(server, "PAUSED")
    answer = _rebuild(client, server, image)
    assert answer.status_code == 409 and "vm_state paused" in answer.text


def test_a_boot_volume_keeps_its_content(client: Client, image: str) -> None:
    disk = {"boot_index": 0, "uuid": image, "source_type": "image", "destination_type": "volume", "volume_size": 1,
            "delete_on_termination": True}
    made = client.post(SERVERS, client.server_body("", "bfv", block_device_mapping_v2=[disk]))
    server_id = made.json()["server"]["id"]
    volumes = client.wait_server(server_id, "ACTIVE")["os-extended-volumes:volumes_attached"]
    answer = _rebuild(client, server_id, client.make_image("third", b"\2" * 1024), "2.92")
    assert answer.status_code == 400 and "different image for a volume-backed server" in answer.text
    assert _rebuild(client, server_id, image, "2.92").status_code == 202
    assert _settled(client, server_id)["os-extended-volumes:volumes_attached"] == volumes
    client.delete(f"{SERVERS}/{server_id}")
    client.wait_gone(server_id)
