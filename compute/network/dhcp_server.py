"""Has a dnsmasq serve a network: its files, then the process."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from compute.network import dhcp_files
from compute.network.dnsmasq import Dnsmasq
from hostler.resources.server.specs import NetworkSpec, PortSpec


@dataclasses.dataclass(frozen=True)
class DhcpServer:
    """How a host's servers serve; `default_dns` is told for subnets that name no DNS server."""

    default_dns: tuple[str, ...]
    lease_time_s: int

    def make(self, process: Dnsmasq, network: NetworkSpec, interface: str, ports: Sequence[PortSpec], server_ip: str,
             forwarders: Sequence[str] | None = None) -> None:
        """Have `process` give DHCP on the `dhcp_files.served_subnets` at `interface` to `ports`, and DNS unless
        `forwarders` are None; raises `AgentError`."""
        process.make(dhcp_files.configuration(network, interface, process.directory, self.lease_time_s,
                                              process.user.pw_name, ports, forwarders=forwarders),
                     dhcp_files.options(network, self.default_dns, ports), dhcp_files.entries(network, ports),
                     server_ip, interface)
