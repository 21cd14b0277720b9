"""Changes that reach a guest from outside while it lives: its metadata, its ports' rules, its networks' subnets.

Each is applied and written into the kept spec, so that a restarted agent restores the newest state, not that of the
boot. Servers that are not on this host are skipped: they may have moved since the call was sent.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from compute.specfile import SpecFiles, newer
from hostler.resources.server.specs import NetworkSpec, PortSpec, ServerSpec

if TYPE_CHECKING:
    # A fake host needs none of the real network's libraries.
    from compute.network.plumbing import NetworkPlumbing


class GuestData:
    """Called by the manager; takes no server lock, so that it never waits for a long build."""

    def __init__(self, specs: SpecFiles, network: NetworkPlumbing) -> None:
        self._specs = specs
        self._network = network

    def update_server(self, server: ServerSpec) -> None:
        """Take over the server's new name and metadata."""
        newest = self._specs.refresh(server)
        if newest is not None:
            self._network.update_server(newest)

    def apply_rules(self, ports: Sequence[PortSpec]) -> None:
        """Put the ports' new rules into force."""
        here = self._keep(ports)
        if here:
            self._network.apply_rules(here)

    def update_network(self, network: NetworkSpec, ports: Sequence[PortSpec]) -> None:
        """Put a network's new subnets into force."""
        here = self._keep([dataclasses.replace(port, network=network) for port in ports])
        if here:
            self._network.update_network(network, here)

    def _keep(self, ports: Sequence[PortSpec]) -> list[PortSpec]:
        """Write the ports into their servers' specs; return those that are on this host."""
        by_server: dict[str, dict[str, PortSpec]] = {}
        for port in ports:
            by_server.setdefault(port.server_id, {})[port.id] = port
        here = []
        for server_id, changed in by_server.items():
            server = self._specs.update(server_id, functools.partial(_with_ports, changed=changed))
            if server is not None:
                here += [port for port in server.ports if port.id in changed]
        return here


def _with_ports(server: ServerSpec, changed: dict[str, PortSpec]) -> ServerSpec:
    return dataclasses.replace(server, ports=tuple(
        newer(port, changed.get(port.id, port)) for port in server.ports))
