"""The files of a network's DHCP server: configuration, host entries and options (pure functions).

The configuration changes only with the subnets' ranges and needs a new process; entries (`--dhcp-hostsfile`) and
options (`--dhcp-optsfile`) are read again on SIGHUP, so plugging a port costs no restart. Only ports of this host are
listed: each host answers its own guests.

dnsmasq reads `ignore`, `infinite`, `45m` and `10` in a host entry as keywords, so DHCP tells guests with such names
no name (their metadata has it). A tag for each port, whose options could hold any name, does not help: dnsmasq 2.89
crashes when it rereads tagged entries after it has given leases. So ports with options of their own are tagged by their
MAC in the configuration, which costs a restart when such a port comes or goes.
"""

from __future__ import annotations

import ipaddress
import logging
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from compute.metadata import METADATA_IP
from compute.network import dhcp_ipv6, names
from hostler import errors
from hostler.resources.network import dhcp_options, services
from hostler.resources.server.specs import NetworkSpec, PortSpec, SubnetSpec

LOG = logging.getLogger(__name__)

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.IGNORECASE)
_DOMAIN = re.compile(r"[a-z0-9.-]{1,253}", re.IGNORECASE)
# What dnsmasq takes for a keyword, not for a name.
_KEYWORD = re.compile(r"ignore|infinite|\d+[smhdw]?", re.IGNORECASE)
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")


def served_subnets(network: NetworkSpec) -> list[SubnetSpec]:
    """Return the subnets that each host's dnsmasq has to do with: those of IPv4 first.

    Of a network without DHCP those remain whose guests form their addresses themselves, from advertisements.
    """
    served = [subnet for subnet in network.subnets if subnet.enable_dhcp and subnet.dhcp_ip is not None
              and (subnet.ip_version == 4 or dhcp_ipv6.is_served(subnet))
              and (services.by_hosts(network, subnet, services.DHCP)
                   or subnet.ip_version == 6 and not dhcp_ipv6.gives_addresses(subnet))]
    return sorted(served, key=lambda subnet: subnet.ip_version)


def configuration(network: NetworkSpec, interface: str, directory: Path, lease_time_s: int, user: str,
                  ports: Iterable[PortSpec] = (), *, forwarders: Sequence[str] | None = None) -> str:
    """Return dnsmasq's configuration file; `ports` that have options of their own get a tag by their MAC.

    It serves only DHCP and only known guests, as `user`, who must be able to reread its entries and options on SIGHUP;
    it opens all other files while it is still root. With `forwarders` it answers DNS as well, and asks them.
    """
    lines = [*common(directory, user, 0 if forwarders is None else 53), "no-ping", "quiet-dhcp", "dhcp-authoritative",
             "dhcp-no-override", "dhcp-ignore-names", f"interface={interface}", "bind-interfaces",
             "dhcp-lease-max=65536"]
    lines += [f"server={address}" for address in forwarders or ()]
    named = domain(network)
    if named is not None:
        lines.append(f"domain={named}")
    served = served_subnets(network)
    for number, subnet in enumerate(served):
        cidr = ipaddress.ip_network(subnet.cidr)
        mode = f"static,{cidr.netmask}" if subnet.ip_version == 4 else dhcp_ipv6.mode(subnet)
        lines.append(f"dhcp-range=set:subnet{number},{cidr.network_address},{mode},{lease_time_s}s")
    lines += [f"dhcp-mac=set:{_port_tag(port)},{port.mac_address.lower()}" for port in _with_options(ports)]
    return "\n".join([*lines, *dhcp_ipv6.advertisements(interface, network.mtu, served), ""])


def common(directory: Path, user: str, dns_port: int = 0) -> list[str]:
    """Return the lines of every process: where it answers DNS (0: nowhere), and where its files are."""
    return [f"port={dns_port}", "no-hosts", "no-resolv", f"user={user}", "except-interface=lo",
            f"pid-file={directory / 'dnsmasq.pid'}", f"log-facility={directory / 'dnsmasq.log'}",
            f"dhcp-leasefile={directory / 'dnsmasq.leases'}", f"dhcp-hostsfile={directory / 'dnsmasq.hosts'}",
            f"dhcp-optsfile={directory / 'dnsmasq.opts'}"]


def options(network: NetworkSpec, default_dns: Sequence[str], ports: Iterable[PortSpec] = ()) -> str:
    """Return the options file: router, routes, DNS servers and MTU, by subnet; and what single ports have instead."""
    lines: list[str] = []
    for number, subnet in enumerate(served_subnets(network)):
        tag = f"tag:subnet{number}"
        if subnet.ip_version == 6:
            lines += [f"{tag},{option}" for option in dhcp_ipv6.options(subnet, default_dns, domain(network))]
            continue
        # An option without a value keeps dnsmasq from filling in its own.
        lines.append(f"{tag},option:router" + (f",{subnet.gateway_ip}" if subnet.gateway_ip else ""))
        lines.append(f"{tag},option:classless-static-route,{','.join(_routes(subnet))}")
        dns = dns_servers(network, subnet, default_dns)
        lines.append(",".join([f"{tag},option:dns-server", *dns]))
        lines.append(f"{tag},option:mtu,{int(network.mtu)}")
    for port in _with_options(ports):
        lines += _own_options(port)
    return "\n".join([*lines, ""])


def entries(network: NetworkSpec, ports: Iterable[PortSpec]) -> dict[str, str]:
    """Return the host entries' lines by `mac ip` (the first two fields of a lease as dnsmasq stores it).

    A port has one line for both families, which is then there under each address: of several lines with one MAC,
    dnsmasq may take one that has no address of the family it is asked for.
    """
    giving = {subnet.id: subnet.ip_version for subnet in served_subnets(network)
              if subnet.ip_version == 4 or dhcp_ipv6.gives_addresses(subnet)}
    lines: dict[str, str] = {}
    for port in ports:
        mac = port.mac_address.lower()
        addresses = {giving[fixed.subnet_id]: str(ipaddress.ip_address(fixed.ip_address))
                     for fixed in reversed(port.fixed_ips) if fixed.subnet_id in giving}
        if not addresses or not _MAC.fullmatch(mac):
            continue
        name = _name(port)
        fields = [mac, *(f"[{address}]" if version == 6 else address for version, address in sorted(addresses.items())),
                  *([name] if name else [])]
        lines |= {f"{mac} {address}": ",".join(fields) for address in addresses.values()}
    return lines


def domain(network: NetworkSpec) -> str | None:
    """Return the network's DNS domain; None without one, or with one that a configuration cannot hold."""
    name = network.dns_domain.rstrip(".")
    return name if _DOMAIN.fullmatch(name) else None


def _with_options(ports: Iterable[PortSpec]) -> list[PortSpec]:
    return [port for port in ports if port.dhcp_options and _MAC.fullmatch(port.mac_address.lower())]


def _own_options(port: PortSpec) -> list[str]:
    lines = []
    for option in port.dhcp_options:
        try:
            lines.append(f"tag:{_port_tag(port)},{dhcp_options.render(option)}")
        except errors.InvalidField as failure:
            # Another release took it; the network's other guests must not go without DHCP.
            LOG.error("DHCP option of port %s is left out: %s", port.id, failure)
    return lines


def _port_tag(port: PortSpec) -> str:
    return f"port{names.short_id(port.id)}"


def _name(port: PortSpec) -> str | None:
    """Return the port's host name, or None if an entry cannot hold it: the address matters more."""
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


def dns_servers(network: NetworkSpec, subnet: SubnetSpec, default_dns: Sequence[str]) -> list[str]:
    """Return the IPv4 DNS servers that guests of a subnet are told: its own, a router, or none."""
    given = services.giver(network, subnet, services.DNS)
    if given is not None:
        return [services.router_address(given[1], subnet)]
    return forwarders(subnet, default_dns) if services.by_hosts(network, subnet, services.DNS) else []


def forwarders(subnet: SubnetSpec, default_dns: Sequence[str]) -> list[str]:
    """Return the IPv4 DNS servers that a subnet names, or else the host's."""
    return _ipv4(subnet.dns_nameservers or default_dns)


def _ipv4(addresses: Iterable[str]) -> list[str]:
    return [address for address in addresses if ipaddress.ip_address(address).version == 4]
