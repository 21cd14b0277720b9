"""Rescue from request to answer, on fake hosts."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from hostler.agent.faults import Order
from tests.harness.client import Client
from tests.harness.inprocess import Cloud
from tests.harness.ports import wait_for

PATH = "/compute/v2.1/servers/{}/action"


@pytest.fixture
def server_id(client: Client, image: str) -> str:
    made = client.create_server(image, "patient")
    client.wait_server(made, "ACTIVE")
    return made


@pytest.mark.contract("N-RESCUE")
def test_rescue_and_back(client: Client, server_id: str) -> None:
    path = PATH.format(server_id)
    other = client.make_image("rescue")
    answer = client.post(path, {"rescue": {"adminPass": "secret", "rescue_image_ref": other}})
    assert (answer.status_code, answer.json()) == (200, {"adminPass": "secret"})
    assert client.wait_server(server_id, "RESCUE")["OS-EXT-STS:vm_state"] == "rescued"
    for body in ({"rescue": None}, {"pause": None}, {"suspend": None}, {"os-stop": None}, {"reboot": {"type": "HARD"}}):
        refused = client.post(path, body)
        assert refused.status_code == 409 and "vm_state rescued" in refused.text, (body, refused.text)
    answer = client.post(path, {"unrescue": None})
    assert answer.status_code == 202
    client.wait_server(server_id, "ACTIVE")
    assert client.post(path, {"unrescue": None}).status_code == 409
    actions = client.get(f"/compute/v2.1/servers/{server_id}/os-instance-actions").json()["instanceActions"]
    assert {action["action"] for action in actions} == {"create", "rescue", "unrescue"}


def test_a_stopped_server_is_rescued_with_its_own_image(client: Client, server_id: str) -> None:
    path = PATH.format(server_id)
    client.post(path, {"os-stop": None})
    client.wait_server(server_id, "SHUTOFF")
    answer = client.post(path, {"rescue": None})
    assert answer.status_code == 200 and len(answer.json()["adminPass"]) >= 12
    client.wait_server(server_id, "RESCUE")
    client.delete(f"/compute/v2.1/servers/{server_id}")
    client.wait_gone(server_id)


@pytest.mark.parametrize("body", [
    {"rescue": "yes"}, {"rescue": {"rescue_image_ref": "no uuid"}}, {"rescue": {"adminPass": 1}},
    {"rescue": {"surprise": True}}, {"rescue": {"rescue_image_ref": "8f0e7a33-0000-4000-8000-000000000000"}}], ids=str)
def test_a_bad_rescue_is_refused(client: Client, server_id: str, body: dict[str, object]) -> None:
    assert client.post(PATH.format(server_id), body).status_code == 400
    assert (client.show(server_id) or {})["status"] == "ACTIVE"


# The least that is an ISO 9660 file system: a primary volume descriptor that says 32 blocks of 2 KiB.
ISO = (bytes(32768) + (b"\x01CD001\x01".ljust(80, b"\0") + struct.pack("<I", 32) + struct.pack(">I", 32)).ljust(
    128, b"\0") + struct.pack("<H", 2048) + struct.pack(">H", 2048)).ljust(65536, b"\0")


def _image_with(client: Client, properties: dict[str, str], *content: Any) -> str:
    image_id = client.make_image("-".join(properties.values()), *content)
    patch = [{"op": "add", "path": f"/{name}", "value": value} for name, value in properties.items()]
    client.request("PATCH", f"/image/v2/images/{image_id}", json=patch,
                   headers={"Content-Type": "application/openstack-images-v2.1-json-patch"}).raise_for_status()
    return image_id


@pytest.mark.parametrize(("properties", "name"), [
    ({"hw_rescue_device": "floppy"}, "hw_rescue_device"), ({"hw_rescue_bus": "cdrom"}, "hw_rescue_bus"),
    ({"hw_rescue_device": "cdrom", "hw_rescue_bus": "virtio"}, "hw_rescue_bus")], ids=str)
def test_rescue_devices_that_no_guest_can_have_are_refused_by_name(client: Client, server_id: str,
                                                                   properties: dict[str, str], name: str) -> None:
    other = _image_with(client, properties)
    answer = client.post(PATH.format(server_id), {"rescue": {"rescue_image_ref": other}})
    assert answer.status_code == 400 and name in answer.text
    assert (client.show(server_id) or {})["status"] == "ACTIVE"


@pytest.mark.contract("N-RESCUE")
def test_an_image_with_a_rescue_device_leaves_all_disks_in_their_places(cloud: Cloud, client: Client,
                                                                        server_id: str) -> None:
    plain = client.make_image("disc", ISO, "iso")
    assert client.post(PATH.format(server_id), {"rescue": {"rescue_image_ref": plain}}).status_code == 400
    other = _image_with(client, {"hw_rescue_device": "cdrom", "hw_rescue_bus": "scsi"}, ISO, "iso")
    assert client.post(PATH.format(server_id), {"rescue": {"rescue_image_ref": other}}).status_code == 200
    client.wait_server(server_id, "RESCUE")
    [domain] = [agent.tools.driver.domains[server_id] for agent in cloud.agents.values()
                if agent and server_id in agent.tools.driver.domains]
    assert domain.disks == ["vda", "vdaa"]
    assert client.post(PATH.format(server_id), {"unrescue": None}).status_code == 202
    client.wait_server(server_id, "ACTIVE")


def test_a_rescue_that_fails_leaves_the_server_as_it_was(cloud: Cloud, client: Client, server_id: str) -> None:
    agents = [agent for agent in cloud.agents.values() if agent]
    for agent in agents:
        agent.tools.driver.faults.order(Order("driver.create:before", "fail", reason="The rescue disk is broken."))
    try:
        client.post(PATH.format(server_id), {"rescue": None})
        wait_for(lambda: _message(client, server_id) is not None, "the rescue's end")
        server = client.wait_server(server_id, "ACTIVE")
        assert server["OS-EXT-STS:power_state"] == 1
    finally:
        for agent in agents:
            agent.tools.driver.faults.clear()
    assert client.post(PATH.format(server_id), {"rescue": None}).status_code == 200
    client.wait_server(server_id, "RESCUE")


def _message(client: Client, server_id: str) -> str | None:
    actions = client.get(f"/compute/v2.1/servers/{server_id}/os-instance-actions").json()["instanceActions"]
    return next((action["message"] for action in actions if action["action"] == "rescue"), None)
