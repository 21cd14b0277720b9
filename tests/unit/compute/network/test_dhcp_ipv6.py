"""What dnsmasq is told about IPv6 subnets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from compute.network import dhcp_files, dhcp_release_ipv6
from hostler.resources.server.specs import FixedIpSpec, NetworkSpec, SubnetSpec
from tests.harness import network_factories as factories


def subnet(ra_mode: str | None, address_mode: str | None, **values: Any) -> SubnetSpec:
    return factories.subnet(**{"id": "six", "cidr": "fd77::/64", "ip_version": 6, "dhcp_ip": "fd77::2",
                               "gateway_ip": "fd77::1", "ipv6_ra_mode": ra_mode, "ipv6_address_mode": address_mode,
                               **values})


def lines_of(network: NetworkSpec) -> list[str]:
    text = dhcp_files.configuration(network, "hvn1", Path("/state"), 3600, "dhcp")
    return [line for line in text.splitlines() if line.startswith(("dhcp-range", "ra-param", "enable-ra"))]


@pytest.mark.parametrize(("ra_mode", "address_mode", "expected"), [
    (None, None, ["static"]), (None, "dhcpv6-stateful", ["static"]), (None, "dhcpv6-stateless", ["static"]),
    (None, "slaac", []), ("slaac", None, ["ra-only", "ra"]), ("slaac", "slaac", ["ra-only", "ra"]),
    ("dhcpv6-stateless", "dhcpv6-stateless", ["ra-stateless", "ra"]),
    ("dhcpv6-stateful", "dhcpv6-stateful", ["static", "ra", "enable-ra"]),
])
def test_modes(ra_mode: str | None, address_mode: str | None, expected: list[str]) -> None:
    network = factories.network(mtu=1450, subnets=(subnet(ra_mode, address_mode),))
    ranges = [f"dhcp-range=set:subnet0,fd77::,{mode},64,3600s" for mode in expected[:1]]
    advertised = ["ra-param=hvn1,mtu:1450,0,0"] if "ra" in expected else []
    assert lines_of(network) == [*ranges, *advertised, *expected[2:]]


def test_a_port_of_both_families_has_one_line() -> None:
    network = factories.network(subnets=(subnet(None, "dhcpv6-stateful"), factories.subnet()))
    fixed = (FixedIpSpec(ip_address="10.0.0.5", subnet_id="subnet-1"), FixedIpSpec(ip_address="fd77::5",
                                                                                    subnet_id="six"))
    line = "fa:16:3e:00:00:05,10.0.0.5,[fd77::5],web1"
    assert dhcp_files.entries(network, [factories.port(fixed_ips=fixed)]) == {
        "fa:16:3e:00:00:05 10.0.0.5": line, "fa:16:3e:00:00:05 fd77::5": line}
    assert lines_of(network)[0].startswith("dhcp-range=set:subnet0,10.0.0.0,"), "IPv4 comes first"
    formed = factories.network(subnets=(subnet("slaac", "slaac"),))
    assert dhcp_files.entries(formed, [factories.port(fixed_ips=fixed)]) == {}, "nobody asks for what it forms"


@pytest.mark.parametrize(("own", "default", "expected"), [
    (("fd00::53", "192.0.2.1"), ("fd00::99",), ["tag:subnet0,option6:dns-server,[fd00::53]"]),
    ((), ("fd00::99", "192.0.2.1"), ["tag:subnet0,option6:dns-server,[fd00::99]"]), ((), (), []),
])
def test_options(own: tuple[str, ...], default: tuple[str, ...], expected: list[str]) -> None:
    network = factories.network(dns_domain="cloud.example.", subnets=(subnet("slaac", "slaac", dns_nameservers=own),))
    assert dhcp_files.options(network, default).splitlines() == [
        *expected, "tag:subnet0,option6:domain-search,cloud.example"]


def test_a_release_names_client_server_and_address() -> None:
    message = dhcp_release_ipv6.packet("00:01:aa", "00:03:bb:cc", 7, "fd77::5")
    assert message[:1] == b"\x08"
    assert message[4:] == bytes.fromhex("0001 0004 0003bbcc 0002 0003 0001aa 0008 0002 0000"
                                        "0003 0028 00000007 00000000 00000000"
                                        "0005 0018 fd770000000000000000000000000005 00000000 00000000")
