"""DHCP options of single ports on a real dnsmasq: which it takes, and who gets them.

As in `test_network_plumbing`, guests are namespaces.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from hostler import ids
from hostler.resources.network.dhcp_options import KNOWN, Known
from hostler.resources.server.specs import FixedIpSpec, SubnetSpec
from tests.harness import dhcpv6_client, network_lab
from tests.harness.network_fixtures import cloud, host_namespace
from tests.harness.network_lab import ALLOW_OUT, Cloud, make_network, wait_for

__all__ = ["cloud", "host_namespace"]

pytestmark = network_lab.NEEDS


def option(name: str, value: str, version: int = 4) -> dict[str, Any]:
    return {"opt_name": name, "opt_value": value, "ip_version": version}


def sample(known: Known, version: int) -> str:
    return {"addresses": "192.0.2.7,192.0.2.8" if version == 4 else "fd00::7,fd00::8", "number": "7", "flag": "1",
            "text": "tftp://192.0.2.7/a-b;c (d)", "domains": "a.example,b.example", "pairs": "192.0.2.7,192.0.2.8",
            "routes": "10.9.0.0/16,192.0.2.7"}[known.kind]


def test_the_server_takes_every_option_that_a_port_may_have(cloud: Cloud) -> None:
    given = [option(known.name, sample(known, version), version)
             for version, options in KNOWN.items() for known in options.values()]
    given += [option("224", "#\"',\\ =x"), option("225", "a"), option("300", "ab,c", 6), option("301", "z", 6),
              option("router", ""), option("classless-static-route", "")]
    net = make_network()
    guest = cloud.boot(10, net, ALLOW_OUT, dhcp_options=tuple(given))
    assert guest.dhcp()["ip"] == "10.77.0.10"
    log = (cloud.state(net.id) / "dnsmasq.log").read_text()
    assert "bad" not in log and "error" not in log, log


def test_only_the_port_itself_has_them_and_they_change(cloud: Cloud) -> None:
    net = make_network()
    other = cloud.boot(11, net, ALLOW_OUT)
    assert other.dhcp()["mtu"] == "1450"
    mine = (option("mtu", "1300"), option("domain-name", "own.example"))
    guest = cloud.boot(10, net, ALLOW_OUT, dhcp_options=mine)
    lease = guest.dhcp()
    assert (lease["mtu"], lease["domain"]) == ("1300", "own.example")
    again = other.dhcp()
    assert again["mtu"] == "1450" and "domain" not in again
    cloud.plumbing.apply_rules([dataclasses.replace(guest.port, dhcp_options=mine[1:])])
    assert guest.dhcp()["mtu"] == "1450"
    cloud.plumbing.apply_rules([dataclasses.replace(guest.port, dhcp_options=())])
    assert "domain" not in guest.dhcp()
    # Entries are read again after leases were given.
    assert cloud.boot(12, net, ALLOW_OUT).dhcp()["ip"] == "10.77.0.12"


def test_options_of_ipv6(cloud: Cloud) -> None:
    subnet = SubnetSpec(id=ids.new_id(), cidr="fd77::/64", ip_version=6, gateway_ip="fd77::1", dhcp_ip="fd77::2",
                        dns_nameservers=("fd77::53",), ipv6_ra_mode="dhcpv6-stateful",
                        ipv6_address_mode="dhcpv6-stateful")
    net = make_network()
    net = dataclasses.replace(net, subnets=(*net.subnets, subnet))
    guest = cloud.boot(10, net, ALLOW_OUT, dhcp_options=(option("dns-server", "fd77::99", 6),), fixed_ips=(
        FixedIpSpec(ip_address="10.77.0.10", subnet_id=net.subnets[0].id),
        FixedIpSpec(ip_address="fd77::1234", subnet_id=subnet.id)))
    assert wait_for(lambda: "fe80" in guest.run("busybox ip -6 addr show dev eth0").stdout
                    and "tentative" not in guest.run("busybox ip -6 addr show dev eth0").stdout)
    assert dhcpv6_client.ask(guest) == dhcpv6_client.Lease("fd77::1234", ("fd77::99",))
