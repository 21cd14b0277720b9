"""addFloatingIp answered 409, or 404, when the server's address could not get the floating IP; published is 400."""

from __future__ import annotations

from typing import Any

import pytest

from tests.harness.client import Client
from tests.harness.two_projects import external_network

N = "/network/v2.0"


def _made(client: Client, noun: str, **values: Any) -> str:
    answer = client.post(f"{N}/{noun}s", {noun: values})
    assert answer.status_code == 201, answer.text
    return str(answer.json()[noun]["id"])


@pytest.fixture
def server(client: Client, image: str) -> str:
    """A server on a network that no router joins with the outside."""
    network = _made(client, "network", name="inside")
    _made(client, "subnet", network_id=network, ip_version=4, cidr="10.61.0.0/24")
    server = client.create_server(image, networks=[{"uuid": network}])
    client.wait_server(server, "ACTIVE")
    return server


def _address(client: Client) -> tuple[str, str]:
    made = client.post("/compute/v2.1/os-floating-ips", {"pool": external_network(client)}).json()["floating_ip"]
    return made["id"], made["ip"]


def test_what_cannot_be_associated_is_a_bad_request(client: Client, server: str) -> None:
    (first, address), (_, second) = _address(client), _address(client)
    refused = client.act(server, "addFloatingIp", version="2.43", address=address)
    assert refused.status_code == 400 and address in refused.json()["badRequest"]["message"]

    router = _made(client, "router", name="r", external_gateway_info={"network_id": external_network(client)})
    subnet = client.get(f"{N}/subnets?cidr=10.61.0.0/24").json()["subnets"][0]["id"]
    client.request("PUT", f"{N}/routers/{router}/add_router_interface", json={"subnet_id": subnet}).raise_for_status()
    assert client.act(server, "addFloatingIp", version="2.43", address=address).status_code == 202
    shown = client.get(f"/compute/v2.1/os-floating-ips/{first}").json()["floating_ip"]
    assert shown["instance_id"] == server and shown["fixed_ip"].startswith("10.61.0.")
    assert client.act(server, "addFloatingIp", version="2.43", address=second).status_code == 400
    assert client.act(server, "removeFloatingIp", version="2.43", address=address).status_code == 202
