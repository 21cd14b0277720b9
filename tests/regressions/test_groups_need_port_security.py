"""A server with named security groups on a network without port security ran, and none of their rules was applied.

The reference fails such a server ("Network requires port_security_enabled and subnet associated in order to apply
security groups."): Terraform and others that name groups learn that nothing guards it.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.harness.client import Client

N = "/network/v2.0"


def make_network(client: Client, cidr: str, **values: Any) -> str:
    network = client.post(f"{N}/networks", {"network": values}).json()["network"]["id"]
    client.post(f"{N}/subnets", {"subnet": {"network_id": network, "cidr": cidr, "ip_version": 4}}).raise_for_status()
    return str(network)


@pytest.fixture(scope="module")
def networks(client: Client) -> dict[str, str]:
    client.post(f"{N}/security-groups", {"security_group": {"name": "web"}}).raise_for_status()
    return {"open": make_network(client, "10.31.0.0/24", port_security_enabled=False),
            "guarded": make_network(client, "10.32.0.0/24")}


@pytest.mark.parametrize("names", [["open"], ["open", "guarded"], ["guarded", "open"]])
@pytest.mark.parametrize("groups", [["web"], ["web", "default"]])
def test_named_groups_are_refused(client: Client, image: str, networks: dict[str, str], names: list[str],
                                  groups: list[str]) -> None:
    answer = client.post("/compute/v2.1/servers", client.server_body(
        image, networks=[{"uuid": networks[name]} for name in names],
        security_groups=[{"name": name} for name in groups]))
    assert answer.status_code == 400 and "port_security_enabled" in answer.json()["badRequest"]["message"]
    assert client.get(f"{N}/ports?network_id={networks['open']}").json() == {"ports": []}


@pytest.mark.parametrize("more", [{}, {"security_groups": [{"name": "default"}]}, {"security_groups": []}])
def test_the_default_group_is_left_out(client: Client, image: str, networks: dict[str, str],
                                       more: dict[str, Any]) -> None:
    server_id = client.create_server(image, networks=[{"uuid": networks["open"]}], **more)
    client.wait_server(server_id, "ACTIVE")
    [port] = client.get(f"{N}/ports?device_id={server_id}").json()["ports"]
    assert (port["security_groups"], port["port_security_enabled"]) == ([], False)
    client.delete(f"/compute/v2.1/servers/{server_id}")
    client.wait_gone(server_id)


def test_a_given_port_keeps_its_own(client: Client, image: str, networks: dict[str, str]) -> None:
    port = client.post(f"{N}/ports", {"port": {"network_id": networks["open"]}}).json()["port"]["id"]
    server_id = client.create_server(image, networks=[{"port": port}], security_groups=[{"name": "web"}])
    client.wait_server(server_id, "ACTIVE")
    client.delete(f"/compute/v2.1/servers/{server_id}")
    client.wait_gone(server_id)
