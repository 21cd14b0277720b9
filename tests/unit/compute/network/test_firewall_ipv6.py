"""What the packet filter says about IPv6; that a kernel obeys it is tests/integration's."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from compute.network import firewall, firewall_ipv6, names, rules
from compute.network.links import Layout
from hostler.resources.network import autoconf
from hostler.resources.server.specs import FixedIpSpec, PortSpec, RouterPortSpec, RouterSpec, RuleSpec
from tests.harness import network_factories as factories

SHORT = names.short_id(factories.PORT_ID)
LINK_LOCAL = "fe80::f816:3eff:fe00:5/128"


def subnet(**values: Any) -> Any:
    return factories.subnet(**{"id": "subnet-6", "cidr": "fd77::/64", "ip_version": 6, "gateway_ip": "fd77::1",
                               "dhcp_ip": "fd77::2", "ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac", **values})


def port(**values: Any) -> PortSpec:
    network = factories.network(subnets=(factories.subnet(), subnet()))
    return factories.port(**{"network": network, "fixed_ips": (
        FixedIpSpec(ip_address="10.0.0.5", subnet_id="subnet-1"),
        FixedIpSpec(ip_address="fd77::5", subnet_id="subnet-6")), **values})


def render(*ports: PortSpec, uplink: str | None = None, **subnet_values: Any) -> str:
    network = factories.network(subnets=(factories.subnet(), subnet(**subnet_values)))
    return firewall.render(Layout(network, Path("/nowhere"), uplink), 7, ports, {})


def chain(script: str, name: str) -> list[str]:
    body = script.partition(f" chain {name} {{\n")[2].partition("\n }")[0]
    return [line.strip() for line in body.splitlines()]


def test_a_port_is_its_addresses_its_pairs_and_what_its_macs_form() -> None:
    pairs = ({"ip_address": "fd77::4/127"}, {"ip_address": "fd88::/64", "mac_address": "00:00:5E:00:01:01"},
             {"ip_address": "10.0.0.9"})
    assert firewall_ipv6.ranges_by_mac(port(allowed_pairs=pairs)) == {
        "fa:16:3e:00:00:05": ["fd77::4/127", LINK_LOCAL],
        "00:00:5e:00:01:01": ["fd88::/64", f"{autoconf.link_local('00:00:5e:00:01:01')}/128"]}
    assert firewall_ipv6.ranges_by_mac(factories.port()) == {}, "without an address it speaks no IPv6"


def test_a_port_speaks_for_itself_and_is_no_router_and_no_server() -> None:
    lines = chain(render(port()), f"spoof6_{SHORT}")
    own = f"ether saddr fa:16:3e:00:00:05 ip6 saddr {{ fd77::5/128, {LINK_LOCAL} }}"
    assert lines[0] == "icmpv6 type { nd-router-advert, nd-redirect } drop" and lines[1] == "udp sport 547 drop"
    assert f"{own} icmpv6 type nd-neighbor-advert @th,64,128 0xfd770000000000000000000000000005 return" in lines
    assert lines[-3:] == ["icmpv6 type nd-neighbor-advert drop", f"{own} return", "drop"]


@pytest.mark.parametrize(("pair", "target"), [
    ("fd88::/61", "@th,64,61 0x1fb1000000000000 "), ("fd88::/8", "@th,64,8 0xfd "), ("::/0", "")])
def test_neighbours_are_asked_for_in_whole_ranges(pair: str, target: str) -> None:
    lines = chain(render(port(allowed_pairs=({"ip_address": pair},))), f"spoof6_{SHORT}")
    assert f"ether saddr fa:16:3e:00:00:05 ip6 saddr :: icmpv6 type nd-neighbor-solicit {target}return" in lines


def test_rules_of_each_family_stand_in_chains_of_their_own() -> None:
    both = [RuleSpec(direction="ingress", ethertype=ethertype, protocol="tcp", port_min=22, port_max=22)
            for ethertype in ("IPv4", "IPv6")]
    script = render(port(rules=tuple(both)))
    assert chain(script, f"ingress_{SHORT}")[-2:] == ["ip protocol 6 tcp dport 22 return", "drop"]
    assert chain(script, f"ingress6_{SHORT}")[-2:] == ["meta l4proto 6 tcp dport 22 return", "drop"]
    assert chain(script, f"egress6_{SHORT}")[-1] == "drop"
    assert "tcp" not in "".join(chain(script, f"egress6_{SHORT}"))
    assert f"ether type ip6 goto ingress6_{SHORT}" in chain(script, f"ingress_{SHORT}")
    assert "6_" not in render(factories.port(rules=tuple(both))), "a port without IPv6 has none of them"


def test_members_of_both_families_have_sets_of_their_own() -> None:
    told = ["fa:16:3e:00:00:01 10.0.0.4/32", "fa:16:3e:00:00:01 fd77::4/127", "fa:16:3e:00:00:01 fd77::5/128"]
    assert firewall.member_sets({"ab": rules.members(told), "cd": ()}, factories.network()) == {
        "group_ab": ("fa:16:3e:00:00:01 . 10.0.0.4/32",), "group6_ab": ("fa:16:3e:00:00:01 . fd77::4/127",),
        "group_cd": (), "group6_cd": ()}
    layout = Layout(factories.network(), Path("/nowhere"), None)
    script = firewall.render(layout, 7, [], {"ab": rules.members(told)})
    assert [line.strip() for line in script.splitlines() if "set group" in line or "type ether" in line] == [
        "set group6_ab {", "type ether_addr . ipv6_addr; flags interval;",
        "set group_ab {", "type ether_addr . ipv4_addr; flags interval;"]


def test_what_the_host_answers_stays_on_it() -> None:
    lines = chain(render(uplink="eth1"), "prerouting")
    assert 'iifname "eth1" icmpv6 type nd-router-advert drop' in lines
    assert any(line.startswith('iifname "eth1" ip6 saddr {') and "fd77::2" in line for line in lines)
    assert 'oifname "eth1" ether type ip6 udp dport { 546, 547 } drop' in chain(render(uplink="eth1"), "forward")
    external = chain(render(uplink="eth1", ipv6_ra_mode=None), "prerouting")
    assert not any("nd-router-advert" in line for line in external), "a physical router advertises this one"


def test_a_port_without_port_security_asks_the_services_as_itself() -> None:
    guard = chain(render(port(port_security=False)), f"guard_{SHORT}")
    assert f"ip6 saddr != {{ ::/128, fd77::5/128, {LINK_LOCAL} }} drop" in guard
    assert guard[-1] == "icmpv6 type nd-neighbor-advert drop"


def test_a_routers_question_to_other_hosts_keeps_its_checksum() -> None:
    port = RouterPortSpec(id="a" * 32, mac_address="fa:16:3e:01:00:01", network=factories.network(),
                          addresses=("fd77::1/64",))
    asked, spoken = firewall_ipv6.to_wire("up0", port, "one")
    balance, mac = (int(value, 16) for value in re.findall(r" set (\S+)", asked))

    def total(value: int) -> int:
        return sum(value >> shift & 0xFFFF for shift in (0, 16, 32))

    assert (balance + total(mac)) % 0xFFFF == total(0xFA163E010001) % 0xFFFF
    assert spoken.endswith(f"ip6 saddr set {names.wire_address(port.id, 'one')}")


def test_a_routers_addresses_stay_on_their_host() -> None:
    network = factories.network(subnets=(factories.subnet(), subnet(ipv6_ra_mode=None, ipv6_address_mode=None)))
    port = RouterPortSpec(id="a" * 32, mac_address="fa:16:3e:01:00:01", network=network, addresses=("fd77::1/64",))
    routed = dataclasses.replace(network, routers=(RouterSpec(id="r", interfaces=(port,)),))
    for lines in (firewall_ipv6.to_uplink(routed), firewall_ipv6.from_uplink(routed)):
        for field in ("saddr", "daddr"):
            assert any(line.startswith(f"ip6 {field}") and "fe80::f816:3eff:fe01:1, fd77::1" in line for line in lines)
    assert "icmpv6 type nd-router-advert" in firewall_ipv6.from_uplink(routed)
    assert "icmpv6 type nd-router-advert" not in firewall_ipv6.from_uplink(network)
