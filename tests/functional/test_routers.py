"""Routers and floating IPs of a whole cloud: what is refused, what servers show, and what their host is told."""

from __future__ import annotations

from typing import Any

import pytest

from hostler import ids
from tests.harness.client import Client
from tests.harness.inprocess import Cloud
from tests.harness.ports import wait_for
from tests.harness.router_calls import N, fault, gate, join, made, net, put


@pytest.fixture
def inside(client: Client) -> tuple[str, str]:
    return net(client, "10.41.0.0/24")


@pytest.fixture
def outside(client: Client) -> str:
    return net(client, "203.0.113.0/24", **{"router:external": True})[0]


@pytest.fixture
def router(client: Client) -> str:
    return str(made(client, "router", name="r")["id"])


def test_interfaces_come_and_go(client: Client, inside: tuple[str, str], router: str) -> None:
    network, subnet = inside
    added = join(client, router, subnet)
    assert added.status_code == 200 and added.json()["network_id"] == network
    port = client.get(f"{N}/ports/{added.json()['port_id']}").json()["port"]
    assert (port["device_owner"], port["device_id"]) == ("network:router_interface", router)
    assert [one["ip_address"] for one in port["fixed_ips"]] == ["10.41.0.1"]
    assert fault(join(client, router, subnet)) == (400, "HTTPBadRequest")
    assert fault(client.delete(f"{N}/ports/{port['id']}")) == (409, "ServicePortInUse")
    assert fault(client.delete(f"{N}/routers/{router}")) == (409, "RouterInUse")
    assert fault(client.delete(f"{N}/networks/{network}")) == (409, "NetworkInUse")
    assert fault(put(client, f"subnets/{subnet}", {"subnet": {"gateway_ip": "10.41.0.250"}}))[0] == 409
    removed = put(client, f"routers/{router}/remove_router_interface", {"subnet_id": subnet})
    assert removed.status_code == 200
    again = put(client, f"routers/{router}/remove_router_interface", {"subnet_id": subnet})
    assert fault(again) == (404, "RouterInterfaceNotFoundForSubnet")
    assert client.delete(f"{N}/routers/{router}").status_code == 204


def test_careless_interfaces_and_routes(client: Client, inside: tuple[str, str], router: str) -> None:
    network, subnet = inside
    assert join(client, router, subnet).status_code == 200
    _, twin = net(client, "10.41.0.0/25")
    bare = made(client, "subnet", network_id=network, ip_version=4, cidr="10.42.0.0/24", gateway_ip=None)["id"]
    path = f"routers/{router}/add_router_interface"
    for body in ({"subnet_id": twin}, {"subnet_id": bare}, {}, {"subnet_id": subnet, "port_id": subnet}, [],
                 {"subnet_id": 5}, {"network_id": network}):
        assert put(client, path, body).status_code == 400, body
    assert fault(join(client, router, "none")) == (400, "InvalidInput")  # no UUID, as the reference has it
    assert fault(join(client, router, ids.new_id())) == (404, "SubnetNotFound")
    route = {"destination": "10.99.0.0/16", "nexthop": "10.41.0.9"}
    for routes in ([{**route, "nexthop": "10.43.0.9"}], [{**route, "nexthop": "10.41.0.1"}], [route, route],
                   [{**route, "destination": "x"}], [{"destination": "10.0.0.0/8"}]):
        assert put(client, f"routers/{router}", {"router": {"routes": routes}}).status_code == 400, routes
    shown = put(client, f"routers/{router}", {"router": {"routes": [route]}}).json()["router"]
    assert shown["routes"] == [route]
    other = {**route, "destination": "198.18.0.0/15"}
    for verb, given, left in (("add", [route, other, other], [route, other]), ("remove", [route], [other]),
                              ("remove", [route], [other]), ("add", [route], [other, route])):
        done = put(client, f"routers/{router}/{verb}_extraroutes", {"router": {"routes": given}})
        assert done.status_code == 200 and done.json()["router"]["routes"] == left, (verb, done.text)
    for body in ([], {}, {"router": {}}, {"router": {"routes": [{"destination": "x", "nexthop": "y"}]}}):
        assert put(client, f"routers/{router}/remove_extraroutes", body).status_code == 400, body
    assert put(client, f"routers/{router}/add_extraroutes", {"router": {"routes": [
        {**route, "nexthop": "10.43.0.9"}]}}).status_code == 400
    put(client, f"routers/{router}", {"router": {"routes": [route]}})
    needed = put(client, f"routers/{router}/remove_router_interface", {"subnet_id": subnet})
    assert fault(needed) == (409, "RouterInterfaceInUseByRoute")


def test_gateways_and_floating_ips(client: Client, inside: tuple[str, str], outside: str, router: str) -> None:
    network, subnet = inside
    port = made(client, "port", network_id=network)["id"]
    wanted = {"floating_network_id": outside, "port_id": port}
    unreachable = client.post(f"{N}/floatingips", {"floatingip": wanted})
    assert fault(unreachable) == (404, "ExternalGatewayForFloatingIPNotFound")
    assert fault(gate(client, router, network)) == (400, "HTTPBadRequest")
    assert join(client, router, subnet).status_code == 200
    shown = gate(client, router, outside).json()["router"]["external_gateway_info"]
    assert shown["network_id"] == outside and shown["enable_snat"] and len(shown["external_fixed_ips"]) == 1
    floating = made(client, "floatingip", **wanted)
    assert (floating["status"], floating["router_id"], floating["port_id"]) == ("ACTIVE", router, port)
    assert fault(client.post(f"{N}/floatingips", {"floatingip": wanted})) == (409, "FloatingIPPortAlreadyAssociated")
    assert fault(gate(client, router, None)) == (409, "RouterExternalGatewayInUseByFloatingIp")
    leave = f"routers/{router}/remove_router_interface"
    assert fault(put(client, leave, {"subnet_id": subnet})) == (409, "RouterInterfaceInUseByFloatingIP")
    assert fault(client.delete(f"{N}/networks/{outside}")) == (409, "NetworkInUse")
    inward = put(client, f"networks/{outside}", {"network": {"router:external": False}})
    assert fault(inward) == (409, "ExternalNetworkInUse")
    found = client.get(f"{N}/floatingips?port_id={port}&status=ACTIVE").json()["floatingips"]
    assert [one["id"] for one in found] == [floating["id"]]
    loose = put(client, f"floatingips/{floating['id']}", {"floatingip": {"port_id": None}}).json()["floatingip"]
    assert (loose["status"], loose["router_id"], loose["fixed_ip_address"]) == ("DOWN", None, None)
    put(client, f"floatingips/{floating['id']}", {"floatingip": {"port_id": port}}).raise_for_status()
    assert client.delete(f"{N}/ports/{port}").status_code == 204
    assert client.get(f"{N}/floatingips/{floating['id']}").json()["floatingip"]["port_id"] is None
    assert client.delete(f"{N}/floatingips/{floating['id']}").status_code == 204
    put(client, leave, {"subnet_id": subnet}).raise_for_status()
    assert client.delete(f"{N}/routers/{router}").status_code == 204
    assert client.delete(f"{N}/networks/{outside}").status_code == 204


def test_a_host_hears_of_routers_and_floating_ips(cloud: Cloud, client: Client, image: str, inside: tuple[str, str],
                                                  outside: str, router: str) -> None:
    network, subnet = inside
    server = client.create_server(image, networks=[{"uuid": network}])
    client.wait_server(server, "ACTIVE")
    port = client.get(f"{N}/ports?device_id={server}").json()["ports"][0]["id"]

    def told() -> Any:
        agent = cloud.agents[(client.show(server) or {})["OS-EXT-SRV-ATTR:host"]]
        return agent.tools.network.plugged[port]

    assert told().network.routers == ()
    join(client, router, subnet).raise_for_status()
    wait_for(lambda: [one.id for one in told().network.routers] == [router], "the router", 30)
    gate(client, router, outside).raise_for_status()
    wait_for(lambda: told().network.routers[0].gateway is not None, "the gateway", 30)
    assert len(told().network.routers[0].outside) == 1
    floating = made(client, "floatingip", floating_network_id=outside, port_id=port)
    address = floating["floating_ip_address"]
    wait_for(lambda: [one.address for one in told().floating_ips] == [address], "the floating IP", 30)
    kinds = {one["addr"]: one["OS-EXT-IPS:type"]
             for one in client.get(f"/compute/v2.1/servers/{server}").json()["server"]["addresses"]["10.41.0.0/24"]}
    assert kinds[address] == "floating" and len(kinds) == 2
    client.delete(f"/compute/v2.1/servers/{server}").raise_for_status()
    client.wait_gone(server)
    assert client.get(f"{N}/floatingips/{floating['id']}").json()["floatingip"]["status"] == "DOWN"


@pytest.fixture
def forwarding(client: Client, inside: tuple[str, str], outside: str, router: str) -> tuple[str, str, dict[str, Any]]:
    """The path of a floating IP's port forwardings, its id, and what a forwarding to some port needs."""
    join(client, router, inside[1]).raise_for_status()
    gate(client, router, outside).raise_for_status()
    port = made(client, "port", network_id=inside[0])
    floating = made(client, "floatingip", floating_network_id=outside)["id"]
    return f"{N}/floatingips/{floating}/port_forwardings", floating, {
        "internal_port_id": port["id"], "internal_ip_address": port["fixed_ips"][0]["ip_address"], "protocol": "tcp"}


def test_port_forwardings_come_and_go(client: Client, forwarding: tuple[str, str, dict[str, Any]], outside: str,
                                      inside: tuple[str, str], router: str) -> None:
    path, floating, to = forwarding

    def make(**values: Any) -> Any:
        return client.post(path, {"port_forwarding": {**to, **values}})

    first = make(internal_port=22, external_port=2222, description="door").json()["port_forwarding"]
    assert {**to, "internal_port": 22, "external_port": 2222, "external_port_range": "2222:2222",
            "internal_port_range": "22:22", "description": "door", "id": first["id"]} == first
    many = make(internal_port_range="80:82", external_port_range="8080:8082").json()["port_forwarding"]
    assert (many["external_port"], many["external_port_range"]) == (None, "8080:8082")
    for values in ({"internal_port": 23, "external_port": 8081}, {"internal_port": 81, "external_port": 2223},
                   {"internal_port_range": "1:3", "external_port_range": "1:2"}, {"external_port": 5},
                   {"internal_port": 0, "external_port": 5}, {"internal_port_range": "9:8", "external_port": 5},
                   {"internal_port": 5, "external_port": 5, "protocol": "gre"},
                   {"internal_port": 5, "external_port": 5, "internal_ip_address": "10.41.0.1"},
                   {"internal_port": 5, "external_port": 5, "more": 1}):
        assert make(**values).status_code == 400, values
    assert make(internal_port=5, external_port=5, protocol="sctp").status_code == 501
    found = client.get(f"{path}?external_port=2222&protocol=tcp&internal_port_id={to['internal_port_id']}").json()
    assert found["port_forwardings"] == [first]
    pages = [client.get(f"{path}?limit=1&sort_key=external_port&sort_dir=desc{more}").json()["port_forwardings"]
             for more in ("", f"&marker={many['id']}")]
    assert pages == [[many], [first]]
    assert client.get(f"{path}?internal_port=22").status_code == 400
    changed = client.request("PUT", f"{path}/{first['id']}", json={"port_forwarding": {"external_port": 2022}})
    assert changed.json()["port_forwarding"] == {**first, "external_port": 2022, "external_port_range": "2022:2022"}
    shown = client.get(f"{N}/floatingips/{floating}").json()["floatingip"]
    assert (shown["status"], shown["port_id"], shown["router_id"]) == ("ACTIVE", None, router)
    assert [one["external_port"] for one in shown["port_forwardings"]] == [2022, None]
    # What depends on them stays.
    port = to["internal_port_id"]
    assert fault(client.delete(f"{N}/floatingips/{floating}")) == (409, "FipInUseByPortForwarding")
    lead = put(client, f"floatingips/{floating}", {"floatingip": {"port_id": port}})
    assert fault(lead) == (409, "FipInUseByPortForwarding")
    another = client.post(f"{N}/floatingips", {"floatingip": {"floating_network_id": outside, "port_id": port}})
    assert fault(another) == (400, "PortHasPortForwarding")
    leave = put(client, f"routers/{router}/remove_router_interface", {"subnet_id": inside[1]})
    assert fault(leave) == (409, "RouterInterfaceInUseByFloatingIP")
    assert fault(gate(client, router, None)) == (409, "RouterExternalGatewayInUseByFloatingIp")
    # With the last one the floating IP is free.
    assert client.delete(f"{path}/{first['id']}").status_code == 204
    assert fault(client.get(f"{path}/{first['id']}")) == (404, "PortForwardingNotFound")
    assert client.delete(f"{N}/ports/{port}").status_code == 204
    assert client.get(path).json() == {"port_forwardings": []}
    assert client.get(f"{N}/floatingips/{floating}").json()["floatingip"]["status"] == "DOWN"


def test_floating_ips_and_forwardings_exclude_each_other(client: Client, outside: str,
                                                         forwarding: tuple[str, str, dict[str, Any]]) -> None:
    path, floating, to = forwarding
    body = {"port_forwarding": {**to, "internal_port": 1, "external_port": 1}}
    put(client, f"floatingips/{floating}", {"floatingip": {"port_id": to["internal_port_id"]}}).raise_for_status()
    assert fault(client.post(path, body)) == (409, "FloatingIPPortAlreadyAssociated")
    other = made(client, "floatingip", floating_network_id=outside)["id"]
    assert fault(client.post(f"{N}/floatingips/{other}/port_forwardings", body)) == (409, "PortHasBindingFloatingIP")
    lonely = net(client, "10.49.0.0/24")[0]
    port = made(client, "port", network_id=lonely)
    unreachable = client.post(f"{N}/floatingips/{other}/port_forwardings", {"port_forwarding": {
        **body["port_forwarding"], "internal_port_id": port["id"],
        "internal_ip_address": port["fixed_ips"][0]["ip_address"]}})
    assert fault(unreachable) == (400, "HTTPBadRequest")
    for wrong in (f"{N}/floatingips/{port['id']}/port_forwardings", f"{N}/floatingips/x/port_forwardings"):
        assert fault(client.get(wrong)) == (404, "FloatingIPNotFound")


def test_hosts_follow_a_forwarded_guest(cloud: Cloud, client: Client, image: str,
                                        forwarding: tuple[str, str, dict[str, Any]]) -> None:
    path, floating, to = forwarding
    client.post(path, {"port_forwarding": {**to, "internal_port": 22, "external_port": 2222}}).raise_for_status()
    server = client.create_server(image, networks=[{"port": to["internal_port_id"]}])
    client.wait_server(server, "ACTIVE")
    host = (client.show(server) or {})["OS-EXT-SRV-ATTR:host"]

    def told() -> list[Any]:
        [routed] = cloud.agents[host].tools.network.plugged[to["internal_port_id"]].network.routers
        return [(one.entry, one.host, one.external, one.internal) for one in routed.forwardings]

    wait_for(lambda: told() == [(host, host, (2222, 2222), (22, 22))], "the forwarding", 30)
    client.post(path, {"port_forwarding": {**to, "internal_port": 23, "external_port_range": "5:9"}}).raise_for_status()
    wait_for(lambda: told()[1:] == [(host, host, (5, 9), (23, 23))], "the second one", 30)
    for one in client.get(path).json()["port_forwardings"]:
        assert client.delete(f"{path}/{one['id']}").status_code == 204
    wait_for(lambda: told() == [], "their end", 30)
