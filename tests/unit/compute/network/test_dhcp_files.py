"""What dnsmasq is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from compute.network import dhcp_files, dhcp_release
from hostler.resources.server.specs import FixedIpSpec
from tests.harness import network_factories as factories


def options(default_dns: tuple[str, ...] = (), **subnet: Any) -> list[str]:
    return dhcp_files.options(factories.network(subnets=(factories.subnet(**subnet),)), default_dns).splitlines()


def test_options_of_a_subnet() -> None:
    assert options(dns_nameservers=("192.0.2.1", "192.0.2.2"),
                   host_routes=({"destination": "10.9.0.0/16", "nexthop": "10.0.0.9"},)) == [
        "tag:subnet0,option:router,10.0.0.1",
        "tag:subnet0,option:classless-static-route,169.254.169.254/32,10.0.0.2,10.9.0.0/16,10.0.0.9,0.0.0.0/0,10.0.0.1",
        "tag:subnet0,option:dns-server,192.0.2.1,192.0.2.2",
        "tag:subnet0,option:mtu,1500"]


def test_without_gateway_nothing_pretends_to_be_one() -> None:
    lines = options(gateway_ip=None)
    assert "tag:subnet0,option:router" in lines
    assert not any("0.0.0.0/0" in line for line in lines)


@pytest.mark.parametrize(("own", "default", "line"), [
    ((), (), "tag:subnet0,option:dns-server"),
    ((), ("192.0.2.9",), "tag:subnet0,option:dns-server,192.0.2.9"),
    (("192.0.2.1",), ("192.0.2.9",), "tag:subnet0,option:dns-server,192.0.2.1"),
    (("2001:db8::1",), (), "tag:subnet0,option:dns-server"),
])
def test_dns_servers(own: tuple[str, ...], default: tuple[str, ...], line: str) -> None:
    assert line in options(default, dns_nameservers=own)


def test_configuration_serves_dhcp_only() -> None:
    network = factories.network(dns_domain="cloud.example.", subnets=(
        factories.subnet(), factories.subnet(id="b", cidr="10.1.0.0/16", dhcp_ip="10.1.0.2"),
        factories.subnet(id="c", enable_dhcp=False), factories.subnet(id="d", dhcp_ip=None),
        factories.subnet(id="e", cidr="fd00::/64", ip_version=6, dhcp_ip="fd00::2")))
    lines = dhcp_files.configuration(network, "hvn1", Path("/state"), 3600, "dhcp").splitlines()
    assert [line for line in lines if line.startswith("dhcp-range")] == [
        "dhcp-range=set:subnet0,10.0.0.0,static,255.255.255.0,3600s",
        "dhcp-range=set:subnet1,10.1.0.0,static,255.255.0.0,3600s",
        "dhcp-range=set:subnet2,fd00::,static,64,3600s"]
    assert {"port=0", "interface=hvn1", "domain=cloud.example", "dhcp-hostsfile=/state/dnsmasq.hosts",
            "user=dhcp"} <= set(lines)


def test_a_domain_cannot_smuggle_a_line_in() -> None:
    network = factories.network(dns_domain="x\ndhcp-script=/bin/sh")
    text = dhcp_files.configuration(network, "hvn1", Path("/state"), 60, "dhcp")
    assert "dhcp-script" not in text


def test_entries() -> None:
    entries = dhcp_files.entries(factories.network(), [factories.port(hostname="web1.cloud.example")])
    assert entries == {"fa:16:3e:00:00:05 10.0.0.5": "fa:16:3e:00:00:05,10.0.0.5,web1"}


@pytest.mark.parametrize("hostname", ["", "bad,name", "a\nb", "-x", "infinite lease",
                                      "ignore", "Infinite", "45m", "3600", "10.0.0.1", "1w"])
def test_a_hostname_that_is_none_is_left_out(hostname: str) -> None:
    port = factories.port(hostname=hostname)
    assert list(dhcp_files.entries(factories.network(), [port]).values()) == [
        "fa:16:3e:00:00:05,10.0.0.5"]


def test_an_address_that_is_no_mac_gets_no_entry() -> None:
    assert dhcp_files.entries(factories.network(), [factories.port(mac_address="fa:16:3e:00:00:05,ignore")]) == {}


def test_a_port_outside_the_served_subnets_gets_no_entry() -> None:
    elsewhere = factories.port(fixed_ips=(FixedIpSpec(ip_address="10.5.0.1", subnet_id="other"),))
    assert dhcp_files.entries(factories.network(), [elsewhere, factories.port(fixed_ips=())]) == {}


def test_a_release_names_guest_address_and_server() -> None:
    message = dhcp_release.packet("fa:16:3e:00:00:05", "10.0.0.5", "10.0.0.2")
    assert len(message) == 236 + 4 + 3 + 6 + 1
    assert message[:3] == b"\x01\x01\x06"
    assert message[12:16] == bytes([10, 0, 0, 5])
    assert message[28:34] == bytes.fromhex("fa163e000005")
    assert message[240:] == b"\x35\x01\x07\x36\x04\x0a\x00\x00\x02\xff"
