"""Which servers an elected router has on a host, and the filter's way to them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from compute.network import dhcp_files, firewall, firewall_services, names, router_servers, routers
from compute.network.links import Layout
from hostler.resources.server.specs import NetworkSpec, RouterPortSpec, RouterSpec
from tests.harness.network_factories import NETWORK_ID, network, port

NET = network(network_type="vlan", segmentation_id=7, physical_network="physnet1", providers={
    "DHCP": "VirtualRouter", "DNS": "VirtualRouter"})
INNER = RouterPortSpec(id="a", mac_address="fa:16:3e:00:00:01", network=NET, addresses=("10.0.0.1/24",))
ROUTER = RouterSpec(id="r", interfaces=(INNER,), elected={"host": "one", "tunnel_ip": "192.0.2.1"},
                    gateway=dataclasses.replace(INNER, id="g", network=network(id=NETWORK_ID[::-1], name="outside"),
                                                addresses=("203.0.113.9/24",)))


def routed(**values: object) -> NetworkSpec:
    return dataclasses.replace(NET, routers=(ROUTER,), **values)  # type: ignore[arg-type]


def servers(net: NetworkSpec, host: str) -> dict[str, router_servers.Server]:
    made = routers.wanted([port(network=net)], host)
    return router_servers.wanted(made, routers.networks_of(made))


def layout(net: NetworkSpec, host: str) -> Layout:
    return Layout(net, Path("/ns"), "hvl0", host=host)


def test_the_elected_host_alone_has_them() -> None:
    [server] = servers(routed(), "one").values()
    assert (server.router_id, server.port, server.network.id) == ("r", INNER, NETWORK_ID)
    assert server.leased == server.named == NET.subnets
    assert servers(routed(), "two") == {}
    bare = dataclasses.replace(INNER, network=dataclasses.replace(NET, providers={}))
    assert servers(dataclasses.replace(NET, providers={}, routers=(
        dataclasses.replace(ROUTER, interfaces=(bare,)),)), "one") == {}


def test_hosts_have_no_server_of_the_network_then_and_name_the_router_as_dns_server() -> None:
    assert dhcp_files.served_subnets(routed()) == []
    beside = routed(providers={"DNS": "VirtualRouter"})
    assert "option:dns-server,10.0.0.1" in dhcp_files.options(beside, ["192.0.2.53"])
    nobody = dhcp_files.options(routed(providers={"DNS": ""}), ["192.0.2.53"])
    assert "tag:subnet0,option:dns-server\n" in nobody


def test_guests_elsewhere_are_known_by_their_places(tmp_path: Path) -> None:
    [server] = servers(routed(), "one").values()
    places = ["fa:16:3e:00:00:05 10.0.0.5 192.0.2.1", "fa:16:3e:00:00:06 10.0.0.6 ", "fa:16:3e:00:00:07 - 192.0.2.2",
              "fa:16:3e:00:00:08 10.9.0.8 192.0.2.2", "fa:16:3e:00:00:09 fd00::9 192.0.2.2"]
    found = router_servers._elsewhere(server, {"fa:16:3e:00:00:05"}, lambda _network_id: places)
    assert [(one.mac_address, [fixed.ip_address for fixed in one.fixed_ips]) for one in found] == [
        ("fa:16:3e:00:00:06", ["10.0.0.6"]), ("fa:16:3e:00:00:08", [])]
    plain = dataclasses.replace(server.network, providers={})
    assert list(dhcp_files.entries(plain, found)) == ["fa:16:3e:00:00:06 10.0.0.6"]


def test_requests_go_to_the_elected_hosts_router_and_answers_come_back_from_it_alone() -> None:
    wire = names.wire_mac("a", "one")
    there, here = (firewall.render(layout(routed(), host), 7, [port(network=routed())], {}) for host in ("two", "one"))
    tap = names.tap_name(port().id)
    assert f'iifname {{ "{tap}" }} ether type ip udp sport 68 udp dport 67 ether daddr set {wire}' in there
    assert f'iifname {{ "{tap}" }} ether type ip udp sport 68 udp dport 67 ether daddr set {INNER.mac_address}' in here
    # What is let in stands before what drops all DHCP.
    answers = f'iifname "hvl0" ether saddr {wire} ether type ip udp sport 67 udp dport 68 accept'
    drop = 'iifname "hvl0" ether type ip udp dport { 67, 68 } drop'
    assert 0 < there.index(answers) < there.index(drop) and answers not in here
    asked = f'iifname "hvl0" ether daddr {wire} ether type ip udp sport 68 udp dport 67 ether daddr set'
    assert 0 < here.index(asked) < here.index(drop) and asked not in there
    # DNS out of the host is judged by the guest's security groups.
    lines = firewall_services.forwarded(layout(routed(), "two"), ["JUDGED"])
    assert [line for line in lines if "53" in line and line.endswith("JUDGED")]


def test_where_hosts_serve_themselves_nothing_crosses() -> None:
    net = routed(providers={})
    assert firewall_services.ways(layout(net, "two")) == []
    nobody = dataclasses.replace(routed(), routers=(dataclasses.replace(ROUTER, elected={}),))
    assert firewall_services.ways(layout(nobody, "two")) == []
