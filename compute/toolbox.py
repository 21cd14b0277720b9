"""The host-facing parts of one agent, chosen together: a real hypervisor wants real disks, a fake one fake disks."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Protocol

from compute.diskfile import Disks
from compute.imagecache import Images
from compute.virt.driver import Driver
from hostler.resources.specs import NetworkSpec, PortSpec, ServerSpec


class Network(Protocol):
    """What the agent needs of the host's network (`compute.network` is the real one)."""

    def plug(self, server: ServerSpec, port: PortSpec) -> str:
        """Make bridge, DHCP, metadata and filters of the port; return the bridge's name."""

    def activate(self, port: PortSpec) -> None:
        """Apply what needs the port's tap device to exist."""

    def unplug(self, port: PortSpec) -> None:
        """Remove the port; its network, too, when this was the last. Fine when it is unknown."""

    def apply_rules(self, ports: Sequence[PortSpec]) -> None:
        """Put new security group rules into force."""

    def update_network(self, network: NetworkSpec, ports: Sequence[PortSpec]) -> None:
        """Put a network's changed subnets into force."""

    def restore(self, servers: Sequence[ServerSpec]) -> None:
        """Make everything for exactly these servers."""

    def update_server(self, server: ServerSpec) -> None:
        """Take over what the guest may ask about itself."""

    def close(self) -> None:
        """Let go; guests keep their network."""


def no_checkpoint(_step: str, _server_id: str) -> None:
    """The checkpoint of a real host: nothing happens between two steps."""


@dataclasses.dataclass(frozen=True)
class Toolbox:
    """One host's parts. `checkpoint(step, server id)` is passed between steps, where the fake host may fail."""

    driver: Driver
    network: Network
    images: Images
    disks: Disks
    tap_name: Callable[[str], str]
    checkpoint: Callable[[str, str], None] = no_checkpoint
