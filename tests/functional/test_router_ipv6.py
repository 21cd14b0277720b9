"""Routers of a whole cloud with IPv6: which subnets they take, what they show, and what a host is told."""

from __future__ import annotations

from typing import Any

import pytest

from tests.harness.client import Client
from tests.harness.inprocess import Cloud
from tests.harness.ports import wait_for
from tests.harness.router_calls import N, fault, gate, join, made, net, put

SLAAC = {"ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac"}


@pytest.fixture
def router(client: Client) -> str:
    return str(made(client, "router", name="r6")["id"])


def subnet6(client: Client, network: str, cidr: str, **values: Any) -> str:
    return str(made(client, "subnet", network_id=network, ip_version=6, cidr=cidr, **values)["id"])


def leave(client: Client, router: str, **what: str) -> Any:
    return put(client, f"routers/{router}/remove_router_interface", what)


def addresses(client: Client, port: str) -> set[str]:
    return {one["ip_address"] for one in client.get(f"{N}/ports/{port}").json()["port"]["fixed_ips"]}


def test_ipv6_subnets_of_a_network_share_a_port(client: Client, router: str) -> None:
    network, subnet = net(client, "10.61.0.0/24")
    first, second = (subnet6(client, network, f"fd61:{number}::/64", **SLAAC) for number in (1, 2))
    bare = subnet6(client, network, "fd61:3::/64")
    own = join(client, router, subnet).json()["port_id"]
    one, two, three = (join(client, router, each).json() for each in (first, second, bare))
    assert one["subnet_ids"] == [first] and two["subnet_ids"] == [second] and two["subnet_id"] == second
    assert one["port_id"] == two["port_id"] == three["port_id"] != own
    assert addresses(client, one["port_id"]) == {"fd61:1::1", "fd61:2::1", "fd61:3::1"}
    assert addresses(client, own) == {"10.61.0.1"}
    again = join(client, router, second)
    assert fault(again) == (400, "HTTPBadRequest")
    assert fault(client.delete(f"{N}/subnets/{second}")) == (409, "SubnetInUse")
    assert fault(put(client, f"subnets/{second}", {"subnet": {"gateway_ip": None}})) == (409, "GatewayIpInUse")
    # One at a time, and the port with the last one.
    left = leave(client, router, subnet_id=second)
    assert left.status_code == 200 and left.json()["subnet_ids"] == [second]
    assert addresses(client, one["port_id"]) == {"fd61:1::1", "fd61:3::1"}
    assert fault(leave(client, router, subnet_id=second)) == (404, "RouterInterfaceNotFoundForSubnet")
    leave(client, router, port_id=one["port_id"]).raise_for_status()
    assert client.get(f"{N}/ports/{one['port_id']}").status_code == 404
    assert client.get(f"{N}/ports/{own}").status_code == 200


def test_ports_join_with_both_families(client: Client, router: str) -> None:
    network, subnet = net(client, "10.62.0.0/24")
    six, seven = (subnet6(client, network, f"fd62:{number}::/64") for number in (1, 2))
    port = made(client, "port", network_id=network, fixed_ips=[
        {"subnet_id": one} for one in (subnet, six, seven)])["id"]
    added = put(client, f"routers/{router}/add_router_interface", {"port_id": port})
    assert added.status_code == 200 and set(added.json()["subnet_ids"]) == {subnet, six, seven}
    subnet6(client, network, "fd62:3::/64", **SLAAC)
    another = made(client, "port", network_id=network, fixed_ips=[])["id"]
    assert fault(put(client, f"routers/{router}/add_router_interface", {"port_id": another})) == (
        400, "HTTPBadRequest")


def test_careless_subnets_and_routes(client: Client, router: str) -> None:
    network, _ = net(client, "10.63.0.0/24")
    there = subnet6(client, network, "fd63:1::/64")
    other, _ = net(client, "10.64.0.0/24")
    for refused in (subnet6(client, network, "fd63:2::/64", gateway_ip=None),
                    subnet6(client, network, "fd63:3::/64", ipv6_address_mode="slaac"),
                    subnet6(client, network, "fd63:4::/64", gateway_ip="fe80::1"),
                    subnet6(client, other, "fd63:1::/96")):
        join(client, router, there)
        assert join(client, router, refused).status_code == 400
    route = {"destination": "fd99::/48", "nexthop": "fd63:1::9"}
    for wrong in ({**route, "nexthop": "fd63:2::9"}, {**route, "nexthop": "fd63:1::1"},
                  {**route, "nexthop": "10.63.0.9"}, {**route, "destination": "10.0.0.0/8"}):
        assert put(client, f"routers/{router}", {"router": {"routes": [wrong]}}).status_code == 400, wrong
    shown = put(client, f"routers/{router}", {"router": {"routes": [route]}}).json()["router"]
    assert shown["routes"] == [route]
    assert fault(leave(client, router, subnet_id=there)) == (409, "RouterInterfaceInUseByRoute")


def test_a_host_hears_of_both_families_and_of_the_gateway(cloud: Cloud, client: Client, image: str,
                                                          router: str) -> None:
    network, subnet = net(client, "10.65.0.0/24")
    six = subnet6(client, network, "fd65::/64", **SLAAC)
    outside, _ = net(client, "203.0.113.0/24", **{"router:external": True})
    subnet6(client, outside, "2001:db8:65::/64", enable_dhcp=False)
    for each in (subnet, six):
        join(client, router, each).raise_for_status()
    shown = gate(client, router, outside).json()["router"]["external_gateway_info"]["external_fixed_ips"]
    assert sorted(":" in one["ip_address"] for one in shown) == [False, True]
    [own] = [one["ip_address"] for one in shown if ":" in one["ip_address"]]
    server = client.create_server(image, networks=[{"uuid": network}])
    client.wait_server(server, "ACTIVE")
    port = client.get(f"{N}/ports?device_id={server}").json()["ports"][0]
    agent = cloud.agents[(client.show(server) or {})["OS-EXT-SRV-ATTR:host"]]

    def told() -> Any:
        [known] = agent.tools.network.plugged[port["id"]].network.routers
        return known

    assert {address for link in told().interfaces for address in link.addresses} == {"10.65.0.1/24", "fd65::1/64"}
    assert f"{own}/64" in told().gateway.addresses
    assert [":" in one["address"] for one in told().outside.values()] == [False]
    leave(client, router, subnet_id=six).raise_for_status()
    wait_for(lambda: {address for link in told().interfaces for address in link.addresses} == {"10.65.0.1/24"},
             "the end of the subnet", 30)
    # A floating IP leads to IPv4 alone.
    [inner] = [one["ip_address"] for one in port["fixed_ips"] if ":" in one["ip_address"]]
    floating = {"floating_network_id": outside, "port_id": port["id"], "fixed_ip_address": inner}
    assert client.post(f"{N}/floatingips", {"floatingip": floating}).status_code == 400
    assert client.post(f"{N}/floatingips", {"floatingip": {
        "floating_network_id": outside, "floating_ip_address": "2001:db8:65::77"}}).status_code == 400


def test_an_external_network_of_ipv6_alone(cloud: Cloud, client: Client, image: str, router: str) -> None:
    network, _ = net(client, "10.66.0.0/24")
    join(client, router, subnet6(client, network, "fd66::/64", **SLAAC)).raise_for_status()
    outside = made(client, "network", name="six", **{"router:external": True})["id"]
    subnet6(client, outside, "2001:db8:66::/64", enable_dhcp=False)
    shown = gate(client, router, outside).json()["router"]["external_gateway_info"]["external_fixed_ips"]
    assert [":" in one["ip_address"] for one in shown] == [True]
    for _ in range(2):
        server = client.create_server(image, networks=[{"uuid": network}])
        client.wait_server(server, "ACTIVE")
    assert client.post(f"{N}/floatingips", {"floatingip": {"floating_network_id": outside}}).status_code in (400, 409)
