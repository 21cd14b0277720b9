"""Allowed address pairs took multicast addresses, and lost the host bits they were sent with."""

from __future__ import annotations

from typing import Any

import pytest

from hostler.resources.network import port_specs
from tests.harness.network_rest import Api


@pytest.fixture(scope="module")
def network_id(network_api: Api) -> str:
    network = network_api.make("network", "networks", name="n")
    network_api.make("subnet", "subnets", network_id=network["id"], cidr="10.0.0.0/24", ip_version=4)
    return str(network["id"])


@pytest.mark.parametrize("pair", [
    {"ip_address": "224.0.0.18"}, {"ip_address": "239.1.0.0/16"}, {"ip_address": "192.0.0.0/2"},
    {"ip_address": "128.0.0.0/1"}, {"ip_address": "ff02::1"}, {"ip_address": "ff00::/8"}, {"ip_address": "8000::/1"},
    {"ip_address": "fe80::1%eth0"}, {"ip_address": "10.0.0.9", "mac_address": "01:00:5e:00:00:12"}])
def test_no_port_sends_from_multicast_addresses(network_api: Api, network_id: str, pair: dict[str, Any]) -> None:
    port = network_api.make("port", "ports", network_id=network_id)
    path = f"/v2.0/ports/{port['id']}"
    for method, where, body in (("POST", "/v2.0/ports", {"network_id": network_id}), ("PUT", path, {})):
        network_api.refused(method, where, {"port": {**body, "allowed_address_pairs": [pair]}}, 400, "InvalidInput")
    assert network_api.call("GET", path)["port"]["allowed_address_pairs"] == []


@pytest.mark.parametrize("address", ["0.0.0.0/0", "10.0.0.0/8", "10.0.0.7/24", "10.0.0.7", "fd00::/8"])
def test_pairs_come_back_as_they_were_sent(network_api: Api, network_id: str, address: str) -> None:
    port = network_api.make("port", "ports", network_id=network_id, allowed_address_pairs=[{"ip_address": address}])
    assert port["allowed_address_pairs"] == [{"ip_address": address, "mac_address": port["mac_address"]}]


def test_hosts_get_blocks_without_host_bits(network_api: Api, network_id: str) -> None:
    group = network_api.make("security_group", "security-groups", name="g")["id"]
    network_api.make("port", "ports", network_id=network_id, security_groups=[group],
                     allowed_address_pairs=[{"ip_address": "10.9.0.7/24"}])
    with network_api.db.reading() as session:
        members = [member.split()[-1] for member in port_specs.group_members(session, [group])[group]["members"]]
    assert "10.9.0.0/24" in members and "10.9.0.7/24" not in members
