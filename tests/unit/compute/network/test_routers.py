"""Which routers a host makes, and of what, from the ports that are on it."""

from __future__ import annotations

import dataclasses

from compute.network import names, routers
from compute.network.overlay import Entry
from hostler.resources.server.specs import FloatingIpSpec, RouterPortSpec, RouterSpec
from tests.harness.network_factories import NETWORK_ID, PORT_ID, network, port, subnet

OTHER_ID = "7b1f3a52-90ab-4cde-8f01-23456789abcd"
INNER = RouterPortSpec(id="a", mac_address="fa:16:3e:00:00:01", network=network(), addresses=("10.0.0.1/24",))
OTHER = RouterPortSpec(id="b", mac_address="fa:16:3e:00:00:02", network=network(id=OTHER_ID, subnets=(
    subnet(id="s2", cidr="10.1.0.0/24"),)), addresses=("10.1.0.1/24",))
ROUTER = RouterSpec(id="r", revision=3, interfaces=(INNER, OTHER))


def test_the_newest_word_about_a_router_is_true() -> None:
    newer = dataclasses.replace(ROUTER, revision=4, interfaces=(INNER,))
    ports = [port(network=network(routers=(ROUTER,))), port(id=PORT_ID[::-1], network=network(routers=(newer,)))]
    for order in (ports, ports[::-1]):
        assert routers.wanted(order, "one")["r"].spec == newer


def test_all_networks_of_a_router_are_held_and_know_it() -> None:
    held = routers.networks_of(routers.wanted([port(network=network(routers=(ROUTER,)))], "one"))
    assert {network_id: [router.id for router in spec.routers] for network_id, spec in held.items()} == {
        NETWORK_ID: ["r"], OTHER_ID: ["r"]}


def test_floating_ips_are_those_of_the_guests_here() -> None:
    floating = FloatingIpSpec(address="203.0.113.5", fixed_ip_address="10.0.0.5", router_id="r")
    gateway = dataclasses.replace(OTHER, id="g", addresses=("203.0.113.9/24",))
    router = dataclasses.replace(ROUTER, interfaces=(INNER,), gateway=gateway,
                                 outside={"two": {"mac": "0e:00:00:00:00:01", "address": "203.0.113.7/24"}})
    ports = [port(network=network(routers=(router,)), floating_ips=(floating,))]
    here, there = routers.wanted(ports, "one")["r"], routers.wanted(ports, "two")["r"]
    assert here.outside is not None and there.outside is not None
    assert (here.source, here.outside.addresses) == (None, ("203.0.113.5/32",))
    assert (there.source, there.outside.addresses) == ("203.0.113.7", ("203.0.113.7/24", "203.0.113.5/32"))
    assert there.outside.mac_address == "0e:00:00:00:00:01" != here.outside.mac_address


def test_where_one_host_is_elected_it_leads_outside_for_all_and_others_send_to_it() -> None:
    floating = (FloatingIpSpec(address="203.0.113.5", fixed_ip_address="10.0.0.5", router_id="r"),)
    tunnel = dataclasses.replace(OTHER, network=network(id=OTHER_ID, network_type="vxlan", segmentation_id=7))
    router = dataclasses.replace(
        ROUTER, interfaces=(INNER, tunnel), gateway=dataclasses.replace(OTHER, id="g"), floating=floating,
        outside={"two": {"mac": "0e:00:00:00:00:01", "address": "203.0.113.7/24"}},
        elected={"host": "two", "tunnel_ip": "192.0.2.2"})
    # The guest with the floating IP is on the first host.
    ports = [port(network=network(routers=(router,)), floating_ips=floating)]
    here, there = routers.wanted(ports, "one")["r"], routers.wanted(ports, "two")["r"]
    assert (here.outside, here.source, here.floating, here.leader) == (None, None, (), "two")
    assert there.outside is not None and there.leader is None
    assert there.outside.addresses == ("203.0.113.7/24", "203.0.113.5/32")
    # By a tunnel rather than by a network that stays on the host; by nothing where nobody is elected.
    assert here.way_to_leader(here.ports) == tunnel and here.way_to_leader([INNER]) is None
    assert there.way_to_leader(there.ports) is None
    nobody = routers.wanted([port(network=network(routers=(dataclasses.replace(router, elected={}),)))], "one")["r"]
    assert (nobody.leader, nobody.outside, nobody.way_to_leader(nobody.ports)) == ("", None, None)
    beside = dataclasses.replace(tunnel.network, routers=(router,))
    wire = names.wire_mac("b", "two")
    assert routers.leaders(beside, "one") == [(wire, "192.0.2.2")] and routers.leaders(beside, "two") == []
    assert Entry("device", wire, "192.0.2.2") in routers.places(beside, [], "one", "192.0.2.1")
