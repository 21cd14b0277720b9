"""A router tells guests of IPv6 subnets that it is their way out: a dnsmasq in its namespace on each host.

What guests need to form addresses, the network's own server tells them, also without a router; it is not a way out
(`compute.network.dhcp_ipv6`). A process of its own goes on while the agent is down, when guests that start ask for
their routers. Subnets without `ipv6_ra_mode` are not advertised: their guests are configured otherwise.
"""

from __future__ import annotations

import dataclasses
import ipaddress
from collections.abc import Sequence
from pathlib import Path

from compute.network import dhcp_files, dhcp_ipv6, names
from compute.network.dnsmasq import Dnsmasq
from compute.network.router_rules import HostRouter
from hostler.resources.server.specs import RouterPortSpec, SubnetSpec

# How long guests keep a router that they no longer hear, in seconds (RFC 4861: three times the interval).
_LIFETIME_S = 1800


@dataclasses.dataclass(frozen=True)
class Advertiser:
    """Has the routers of this host advertise themselves; `default_dns` is told for subnets that name no DNS server."""

    default_dns: tuple[str, ...]
    lease_time_s: int

    def make(self, router: HostRouter, directory: Path, namespace: Path) -> None:
        """Have a process tell the guests of the router's networks of it; none where no subnet is advertised."""
        process = Dnsmasq(directory, namespace)
        advertised = subnets(router)
        if not advertised:
            process.stop()
            return
        lines = [f"{tag},{option}" for tag, port, subnet in advertised for option in
                 dhcp_ipv6.options(subnet, self.default_dns, dhcp_files.domain(port.network))]
        process.make(self._configuration(advertised, directory, process.user.pw_name), "\n".join([*lines, ""]), {}, "",
                     "")

    def stands(self, router: HostRouter, directory: Path, namespace: Path) -> bool:
        """Return whether the process that the router needs is there."""
        return not subnets(router) or Dnsmasq(directory, namespace).alive()

    def stop(self, directory: Path, namespace: Path) -> None:
        """End a router's process; fine when none runs."""
        Dnsmasq(directory, namespace).stop()

    def _configuration(self, advertised: Sequence[tuple[str, RouterPortSpec, SubnetSpec]], directory: Path,
                       user: str) -> str:
        # `bind-dynamic`: an interface may come later, when its network can be made.
        lines = [*dhcp_files.common(directory, user), "bind-dynamic", "quiet-dhcp6", "quiet-ra", "enable-ra"]
        for port in {port.id: port for _, port, _ in advertised}.values():
            device = names.router_inner_name(port.id)
            lines += [f"interface={device}", f"ra-param={device},mtu:{int(port.network.mtu)},"
                                             f"{_LIFETIME_S // 3},{_LIFETIME_S}"]
        for tag, _, subnet in advertised:
            address = ipaddress.ip_network(subnet.cidr).network_address
            lines.append(f"dhcp-range=set:{tag.removeprefix('tag:')},{address},{dhcp_ipv6.mode(subnet)},"
                         f"{self.lease_time_s}s")
        return "\n".join([*lines, ""])


def subnets(router: HostRouter) -> list[tuple[str, RouterPortSpec, SubnetSpec]]:
    """Return the subnets that a router advertises itself in, each with its tag and the router's port."""
    found = [(port, subnet) for port in router.spec.interfaces for subnet in port.network.subnets
             if subnet.ip_version == 6 and subnet.ipv6_ra_mode is not None
             and any(ipaddress.ip_interface(address).ip in ipaddress.ip_network(subnet.cidr)
                     for address in port.addresses)]
    return [(f"tag:subnet{number}", port, subnet) for number, (port, subnet) in enumerate(found)]
