"""Operations that tell hosts what changed on their networks, or ask what is there. They lock nothing."""

from __future__ import annotations

import dataclasses
from typing import Final

from hostler.operations.kinds.arguments import Arguments
from hostler.operations.kinds.kind import Kind


@dataclasses.dataclass(frozen=True, kw_only=True)
class ApplyRules(Arguments):
    """Ports, or a group, whose rules changed.

    `members_only`: members came or went and no rule changed, so that hosts need the group's addresses alone.
    """

    port_ids: tuple[str, ...] = ()
    security_group_id: str | None = None
    members_only: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class UpdateNetwork(Arguments):
    """The network whose subnets changed."""

    network_id: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class UpdateRouter(Arguments):
    """The router that another host, or each, leads outside for; the host that did so far, by name."""

    router_id: str
    leaving: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class UpdatePeers(Arguments):
    """The VXLAN network of which ports came, went or moved."""

    network_id: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class TracePacket(Arguments):
    """A packet to follow: to the id of a port or an address, by a protocol with its destination port, if it has one."""

    to: str
    protocol: str
    port: int | None = None


APPLY_RULES: Final = Kind(
    name="network.apply_rules", resources=("security_group", "port", "server"), arguments=ApplyRules,
    action="updateSecurityGroups", cancellable=False)
UPDATE: Final = Kind(name="network.update", resources=("network",), arguments=UpdateNetwork, cancellable=False)
UPDATE_PEERS: Final = Kind(
    name="network.update_peers", resources=("network",), arguments=UpdatePeers, cancellable=False)
UPDATE_ROUTER: Final = Kind(
    name="network.update_router", resources=("router",), arguments=UpdateRouter, cancellable=False)
TRACE_PACKET: Final = Kind(
    name="network.trace_packet", resources=("port",), arguments=TracePacket, cancellable=False)

KINDS: Final = (APPLY_RULES, UPDATE, UPDATE_PEERS, UPDATE_ROUTER, TRACE_PACKET)
