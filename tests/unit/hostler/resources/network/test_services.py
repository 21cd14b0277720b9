"""Who gives a service, by the spec that hosts get of a network."""

from __future__ import annotations

import dataclasses

import pytest

from hostler.resources.network import services
from hostler.resources.server.specs import NetworkSpec, RouterPortSpec, RouterSpec
from tests.harness.network_factories import network, subnet

NET = network(providers={"DHCP": "VirtualRouter", "Userdata": ""}, subnets=(
    subnet(), subnet(id="s2", cidr="10.1.0.0/24"), subnet(id="s6", cidr="fd00::/64", ip_version=6)))
PORT = RouterPortSpec(id="p", mac_address="fa:16:3e:00:00:01", network=NET, addresses=("10.0.0.1/24", "fd00::1/64"))
ROUTER = RouterSpec(id="r", interfaces=(PORT,), gateway=dataclasses.replace(PORT, id="g"), elected={
    "host": "one", "tunnel_ip": "192.0.2.1"})


def behind(*routers: RouterSpec) -> NetworkSpec:
    return dataclasses.replace(NET, routers=routers)


def test_an_elected_router_gives_what_it_was_chosen_for_on_its_ipv4_subnets() -> None:
    net = behind(ROUTER)
    own, beside, ipv6 = net.subnets
    assert services.giver(net, own, "DHCP") == (ROUTER, PORT) and services.router_address(PORT, own) == "10.0.0.1"
    assert not services.by_hosts(net, own, "DHCP")
    for other in (beside, ipv6):
        assert services.giver(net, other, "DHCP") is None and services.by_hosts(net, other, "DHCP")
    assert services.giver(net, own, "DNS") is None and services.by_hosts(net, own, "DNS")
    assert not services.by_hosts(net, own, "Userdata")


@pytest.mark.parametrize("router", [
    dataclasses.replace(ROUTER, elected=None), dataclasses.replace(ROUTER, gateway=None)], ids=["flat", "no gateway"])
def test_without_an_elected_router_the_hosts_do(router: RouterSpec) -> None:
    for net in (behind(), behind(router)):
        assert services.by_hosts(net, net.subnets[0], "DHCP")


def test_while_no_host_can_be_elected_nobody_does() -> None:
    net = behind(dataclasses.replace(ROUTER, elected={}))
    assert not services.by_hosts(net, net.subnets[0], "DHCP")


def test_of_two_routers_one_does() -> None:
    second = dataclasses.replace(ROUTER, id="a")
    net = behind(ROUTER, second)
    assert services.giver(net, net.subnets[0], "DHCP") == (second, PORT)
