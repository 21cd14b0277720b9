"""The files of a network's DHCP server: configuration, host entries and options (pure functions).

The configuration changes only with the subnets' ranges and needs a new process; entries (`--dhcp-hostsfile`) and
options (`--dhcp-optsfile`) are read again on SIGHUP, so plugging a port costs no restart. Only ports of this host are
listed: each host answers its own guests.

dnsmasq reads `ignore`, `infinite`, `45m` and `10` in a host entry as keywords, so guests of such names are told none by
DHCP (their metadata has it). A tag for each port, whose options could hold any name, is no way out: dnsmasq 2.89 ends
when it reads tagged entries again after it has given leases.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from compute.metadata import METADATA_IP
from compute.network.links import ipv4_subnets
from hostler.resources.server.specs import NetworkSpec, PortSpec, SubnetSpec

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.IGNORECASE)
_DOMAIN = re.compile(r"[a-z0-9.-]{1,253}", re.IGNORECASE)
# What dnsmasq takes for an order, not for a name.
_KEYWORD = re.compile(r"ignore|infinite|\d+[smhdw]?", re.IGNORECASE)
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")


def served_subnets(network: NetworkSpec) -> list[SubnetSpec]:
    """Return the subnets whose guests get addresses from us."""
    return [subnet for subnet in ipv4_subnets(network) if subnet.enable_dhcp and subnet.dhcp_ip is not None]


def configuration(network: NetworkSpec, interface: str, directory: Path, lease_time_s: int, user: str) -> str:
    """Return dnsmasq's configuration file.

    It serves DHCP and nothing else, to known guests and nobody else, as `user`, who must be able to read its entries
    and options again on SIGHUP; all other files it opens while it is still root.
    """
    lines = ["port=0", "no-hosts", "no-resolv", "no-ping", f"user={user}", "quiet-dhcp", "dhcp-authoritative",
             "dhcp-no-override", "dhcp-ignore-names", f"interface={interface}", "except-interface=lo",
             "bind-interfaces", "dhcp-lease-max=65536", f"pid-file={directory / 'dnsmasq.pid'}",
             f"log-facility={directory / 'dnsmasq.log'}", f"dhcp-leasefile={directory / 'dnsmasq.leases'}",
             f"dhcp-hostsfile={directory / 'dnsmasq.hosts'}", f"dhcp-optsfile={directory / 'dnsmasq.opts'}"]
    if network.dns_domain and _DOMAIN.fullmatch(network.dns_domain.rstrip(".")):
        lines.append(f"domain={network.dns_domain.rstrip('.')}")
    for number, subnet in enumerate(served_subnets(network)):
        cidr = ipaddress.ip_network(subnet.cidr)
        lines.append(f"dhcp-range=set:subnet{number},{cidr.network_address},static,{cidr.netmask},{lease_time_s}s")
    return "\n".join([*lines, ""])


def options(network: NetworkSpec, default_dns: Sequence[str]) -> str:
    """Return the options file: router, routes, DNS servers and MTU, by subnet."""
    lines = []
    for number, subnet in enumerate(served_subnets(network)):
        tag = f"tag:subnet{number}"
        # Without a value dnsmasq leaves an option out that it would fill in by itself.
        lines.append(f"{tag},option:router" + (f",{subnet.gateway_ip}" if subnet.gateway_ip else ""))
        lines.append(f"{tag},option:classless-static-route,{','.join(_routes(subnet))}")
        dns = _ipv4(subnet.dns_nameservers or default_dns)
        lines.append(",".join([f"{tag},option:dns-server", *dns]))
        lines.append(f"{tag},option:mtu,{int(network.mtu)}")
    return "\n".join([*lines, ""])


def entries(network: NetworkSpec, ports: Iterable[PortSpec]) -> dict[str, str]:
    """Return the host entries' lines by `mac ip` (the first two fields of a lease as dnsmasq stores it)."""
    served = {subnet.id for subnet in served_subnets(network)}
    lines: dict[str, str] = {}
    for port in ports:
        address = next((fixed.ip_address for fixed in port.fixed_ips if fixed.subnet_id in served), None)
        if address is None:
            continue
        mac = port.mac_address.lower()
        if _MAC.fullmatch(mac):
            name = _name(port)
            fields = [mac, str(ipaddress.ip_address(address)), *([name] if name else [])]
            lines[f"{mac} {address}"] = ",".join(fields)
    return lines


def _name(port: PortSpec) -> str | None:
    """Return the port's host name where an entry can hold it; the address matters more."""
    name = port.hostname.partition(".")[0]
    return name if _LABEL.fullmatch(name) and not _KEYWORD.fullmatch(name) else None


def _routes(subnet: SubnetSpec) -> list[str]:
    """Return destinations and next hops alternately. Clients that get this option ignore the router (RFC 3442)."""
    routes = [f"{METADATA_IP}/32", str(subnet.dhcp_ip)]
    for route in subnet.host_routes:
        destination = ipaddress.ip_network(route["destination"], strict=False)
        routes += [str(destination), str(ipaddress.ip_address(route["nexthop"]))]
    if subnet.gateway_ip:
        routes += ["0.0.0.0/0", subnet.gateway_ip]
    return routes


def _ipv4(addresses: Iterable[str]) -> list[str]:
    return [address for address in addresses if ipaddress.ip_address(address).version == 4]
