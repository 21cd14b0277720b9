"""What the compute agent asks of a host's network.

`compute.network.build` gives the real one (bridges, namespaces, dnsmasq, nftables); the fake driver brings its own.
Every method may be repeated and may follow a crash at any point. All raise `AgentError` when the host's network
cannot be configured, and `NotImplementedHere` for what this host's plumbing refuses (see `compute.network.flat`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from compute.leader_watch import LeaderWatch
from hostler.resources.server.specs import NetworkSpec, PortSpec, ServerSpec

PasswordListener = Callable[[str, str], bool]  # server id, encrypted password: whether it was taken


class NetworkPlumbing(Protocol):
    """Connects servers' ports to networks on one host. `leaders` watches those that lead outside for guests here."""

    leaders: LeaderWatch

    def traits(self) -> list[str]:
        """Return what this host can carry, as `hostler.resources.network.kinds` has it."""

    def plug(self, server: ServerSpec, port: PortSpec) -> str:
        """Make all that `port` needs and return the name of the bridge its tap device belongs in.

        Bridge, namespace, DHCP, metadata and filters stand when it returns; the tap device
        (`names.tap_name(port.id)`) is made afterwards, by the hypervisor.
        """

    def activate(self, port: PortSpec) -> None:
        """Apply filters and MTU again, now that the tap device exists."""

    def unplug(self, port: PortSpec) -> None:
        """Remove what `port` had; with a network's last port on this host, the network's things go too."""

    def apply_rules(self, ports: Sequence[PortSpec]) -> None:
        """Enforce the rules, allowed pairs and addresses of `ports` as they are now; ports not plugged are ignored."""

    def update_groups(self, groups: Mapping[str, Sequence[str]]) -> None:
        """Take the members of `groups` ("MAC CIDR" by group id) and update the rules that name them; and the places
        of the ports of VXLAN networks ("MAC ADDRESS TUNNEL-ADDRESS" by `kinds.key`), and update what leads there.

        Groups that no rule here names are remembered for a port that is yet to come.
        """

    def update_network(self, network: NetworkSpec, ports: Sequence[PortSpec]) -> None:
        """Adopt changes of a network (MTU, DNS servers, routes, subnets) and of its `ports` on this host."""

    def restore(self, servers: Sequence[ServerSpec]) -> None:
        """Make everything for `servers` again, and remove ports and networks of ours that none of them has.

        On a host that has booted since, another one may lead outside for a router by now: this one does not until
        `confirm` or a newer word of the router.
        """

    def confirm(self) -> None:
        """Take what is kept for true: it was compared with the records."""

    def inspect(self, places: Mapping[str, Sequence[str]]) -> dict[str, Any]:
        """Return how the host's network really is; changes nothing.

        "differences": maps of `compute.network.inspection.Difference`, how it differs from what is plugged here;
        "addresses": router id → what it really has on its external network; "lacking": network id → texts for the
        lines missing of those that `places` (members as `update_groups` takes them) need.
        """

    def repair(self) -> None:
        """Make right what `inspect` finds; traffic goes on."""

    def update_server(self, server: ServerSpec) -> None:
        """Answer metadata requests of `server` with its new values."""

    def on_password(self, listener: PasswordListener) -> None:
        """Name who takes the passwords that guests post to their metadata service."""

    def close(self) -> None:
        """Stop answering metadata requests and watching; guests, DHCP and filters go on."""
