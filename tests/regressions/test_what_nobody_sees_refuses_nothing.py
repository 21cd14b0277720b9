"""Several volumes or NICs for one server at once, or snapshots of one volume, were refused with 409 but for the first.

The reference takes them: a server that gets a volume has no task state, and a volume that a snapshot is made of is
available. Terraform attaches and detaches in parallel, and so does Kubernetes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent import futures
from typing import Any

import pytest
import requests

from tests.harness.client import Client
from tests.harness.inprocess import ADMIN_PASSWORD
from tests.harness.ports import wait_for

AT_ONCE = 3


@pytest.fixture(scope="module")
def clients(client: Client) -> list[Client]:
    found = [Client(client.url, "admin", ADMIN_PASSWORD, "admin") for _ in range(AT_ONCE)]
    for each in found:
        each.login()
    return found


def at_once(clients: list[Client], ask: Callable[[Client, int], requests.Response]) -> list[Any]:
    """Ask by all clients at the same time; returns the answers' bodies."""
    with futures.ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(ask, clients, range(AT_ONCE)))
    assert [(answer.status_code, answer.text) for answer in answers if not answer.ok] == []
    return [answer.json() if answer.content else None for answer in answers]


@pytest.fixture(scope="module")
def server(client: Client, image: str) -> Iterator[str]:
    server_id = client.create_server(image)
    client.wait_server(server_id, "ACTIVE")
    yield server_id
    client.delete(f"/compute/v2.1/servers/{server_id}")
    client.wait_gone(server_id)


def make_volume(client: Client, **more: Any) -> str:
    volume_id = str(client.post("/volume/v3/volumes", {"volume": {"size": 1, **more}}).json()["volume"]["id"])
    client.wait_volume(volume_id, "available")
    return volume_id


def test_volumes_are_attached_and_detached_at_once(client: Client, clients: list[Client], server: str) -> None:
    volumes = [make_volume(client) for _ in range(AT_ONCE)]
    path = f"/compute/v2.1/servers/{server}/os-volume_attachments"
    made = at_once(clients, lambda each, number: each.post(path, {"volumeAttachment": {"volumeId": volumes[number]}}))
    assert len({each["volumeAttachment"]["device"] for each in made}) == AT_ONCE
    for volume_id in volumes:
        client.wait_volume(volume_id, "in-use")
    at_once(clients, lambda each, number: each.delete(f"{path}/{volumes[number]}"))
    for volume_id in volumes:
        client.wait_volume(volume_id, "available")


def test_a_volume_for_several_servers_is_attached_to_them_at_once(client: Client, clients: list[Client],
                                                                  image: str) -> None:
    made = client.post("/volume/v3/types", {"volume_type": {
        "name": "several", "extra_specs": {"multiattach": "<is> True"}}}).json()["volume_type"]["id"]
    volume_id = make_volume(client, volume_type=made)
    servers = [client.create_server(image) for _ in range(AT_ONCE)]
    for server_id in servers:
        client.wait_server(server_id, "ACTIVE")
    body = {"volumeAttachment": {"volumeId": volume_id}}
    at_once(clients, lambda each, number: each.post(
        f"/compute/v2.1/servers/{servers[number]}/os-volume_attachments", body))
    for server_id in servers:
        client.delete(f"/compute/v2.1/servers/{server_id}")
        client.wait_gone(server_id)


def test_interfaces_are_attached_and_detached_at_once(clients: list[Client], server: str) -> None:
    path = f"/compute/v2.1/servers/{server}/os-interface"
    made = at_once(clients, lambda each, _: each.post(path, {"interfaceAttachment": {}}))
    ports = [each["interfaceAttachment"]["port_id"] for each in made]
    at_once(clients, lambda each, number: each.delete(f"{path}/{ports[number]}"))


def test_a_server_that_gets_a_volume_can_be_stopped(client: Client, clients: list[Client], server: str) -> None:
    volume_id = make_volume(client)
    asked = (lambda each: each.post(f"/compute/v2.1/servers/{server}/os-volume_attachments",
                                    {"volumeAttachment": {"volumeId": volume_id}}),
             lambda each: each.post(f"/compute/v2.1/servers/{server}/os-interface", {"interfaceAttachment": {}}))
    with futures.ThreadPoolExecutor(2) as pool:
        assert [answer.status_code for answer in pool.map(lambda ask, each: ask(each), asked, clients)] == [200, 200]
    assert client.post(f"/compute/v2.1/servers/{server}/action", {"os-stop": None}).status_code == 202
    client.wait_server(server, "SHUTOFF")
    client.wait_volume(volume_id, "in-use")


def test_snapshots_of_a_volume_are_made_at_once(client: Client, clients: list[Client]) -> None:
    volume_id = make_volume(client)
    made = at_once(clients, lambda each, _: each.post("/volume/v3/snapshots", {"snapshot": {"volume_id": volume_id}}))
    for each in made:
        client.wait_block(f"snapshots/{each['snapshot']['id']}", "available")
    assert client.delete(f"/volume/v3/volumes/{volume_id}?cascade=true").status_code == 202
    wait_for(lambda: client.get(f"/volume/v3/volumes/{volume_id}").status_code == 404, "volume gone")


def test_what_is_seen_still_refuses(client: Client, clients: list[Client]) -> None:
    volume_id = make_volume(client)
    path = f"/volume/v3/volumes/{volume_id}/action"
    with futures.ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(lambda each: each.post(path, {"os-extend": {"new_size": 2}}), clients))
    assert [answer.status_code for answer in answers].count(202) == 1
    assert {answer.status_code for answer in answers} <= {202, 400, 409}
