"""What a router's namespace translates and refuses."""

from __future__ import annotations

import pytest

from compute.network.router_rules import HostRouter, render
from hostler.resources.server.specs import FloatingIpSpec, ForwardingSpec, RouterPortSpec, RouterSpec
from tests.harness.network_factories import network

INNER = RouterPortSpec(id="a" * 32, mac_address="fa:16:3e:00:00:01", network=network(), addresses=("10.0.0.1/24",))
GATEWAY = RouterPortSpec(id="b" * 32, mac_address="fa:16:3e:00:00:02", network=network())
OWN = {"one": {"mac": "fa:16:3e:00:00:03", "address": "203.0.113.7/24"}}
FLOATING = FloatingIpSpec(address="203.0.113.5", fixed_ip_address="10.0.0.5", router_id="r")
DEVICE = f'oifname "hrn{"b" * 11}"'


def rules(*floating: FloatingIpSpec, **values: object) -> str:
    router = RouterSpec(**{"id": "r", "interfaces": (INNER,), "gateway": GATEWAY, **values})  # type: ignore[arg-type]
    return render(HostRouter(router, "one", floating))


def test_without_a_gateway_nothing_is_translated() -> None:
    assert "nat" not in rules(gateway=None)


def test_guests_leave_from_their_floating_ip_or_the_hosts_address() -> None:
    script = rules(FLOATING, outside=OWN)
    assert f"{DEVICE} snat to ip saddr map {{ 10.0.0.5 : 203.0.113.5 }}" in script
    assert f"{DEVICE} ip saddr != 203.0.113.7 snat to 203.0.113.7" in script
    assert "dnat to ip daddr map { 203.0.113.5 : 10.0.0.5 }" in script


def test_without_an_address_only_floating_ips_leave() -> None:
    assert f"{DEVICE} ct direction original ip saddr != {{ 10.0.0.5 }} drop" in rules(FLOATING)
    assert f"{DEVICE} ct direction original drop" in rules()


def test_a_router_without_snat_lets_addresses_through_as_they_are() -> None:
    script = rules(outside=OWN, snat=False)
    assert "snat to" not in script and "ct state new" not in script


def forwarding(external: tuple[int, int], internal: tuple[int, int], **values: str) -> ForwardingSpec:
    return ForwardingSpec(**{"address": "203.0.113.9", "entry": "one", "host": "one", "protocol": "tcp",  # type: ignore
                             "external": external, "fixed_ip_address": "10.0.0.5", "internal": internal, **values})


@pytest.mark.parametrize(("external", "internal", "translated"), [
    ((2222, 2222), (22, 22), "tcp dport 2222 dnat to 10.0.0.5:22"),
    ((80, 90), (80, 90), "tcp dport 80-90 dnat to 10.0.0.5"),
    ((80, 90), (443, 443), "tcp dport 80-90 dnat to 10.0.0.5:443"),
    ((80, 81), (90, 91), "tcp dport 80-81 dnat to 10.0.0.5 : tcp dport map { 80 : 90, 81 : 91 }")])
def test_forwarded_ports_are_translated(external: tuple[int, int], internal: tuple[int, int], translated: str) -> None:
    lines = [line.strip() for line in rules(forwardings=(forwarding(external, internal),)).splitlines()]
    assert f"ip daddr 203.0.113.9 {translated}" in lines


def test_only_the_guests_host_translates_and_only_the_entry_hands_over() -> None:
    there = (forwarding((22, 22), (22, 22), host="two"),)
    script = rules(forwardings=there, outside={**OWN, "two": {"mac": "fa:16:3e:00:00:04", "address": "203.0.113.8/24"}})
    assert "dnat to" not in script
    assert "tcp dport 22 ether saddr set fa:16:3e:00:00:03 ether daddr set fa:16:3e:00:00:04 fwd to" in script
    assert "fwd to" not in rules(forwardings=(forwarding((22, 22), (22, 22), entry="two"),), outside=OWN)


def test_ipv6_is_forwarded_as_it_is_but_from_addresses_behind_the_router() -> None:
    inner = RouterPortSpec(id="c" * 32, mac_address="fa:16:3e:00:00:04", network=network(), addresses=("fd00:1::1/64",))
    gateway = RouterPortSpec(id="b" * 32, mac_address="fa:16:3e:00:00:02", network=network(),
                             addresses=("203.0.113.7/24", "2001:db8::7/64"))
    spec = RouterSpec(id="r", interfaces=(INNER, inner), gateway=gateway,
                      routes=({"destination": "fd00:9::/48", "nexthop": "fd00:1::9"},))
    router = HostRouter(spec, "one")
    assert router.outside is not None and router.outside.addresses == ("2001:db8::7/64",)
    script = render(router)
    assert f"{DEVICE} ip6 saddr != {{ fd00:1::/64, fd00:9::/48 }} drop" in script and "udp dport 547 drop" in script
    assert "fd00" not in script.partition("table netdev")[0]
    assert "ip6" not in rules()
