"""The network a new cloud starts with, and the administrators' default security group; used by the bootstrap only."""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa
from oslo_config import cfg
from sqlalchemy import orm

from hostler import errors, ids
from hostler.db.models import Network, SecurityGroup, SecurityGroupRule, Subnet
from hostler.resources.network import security_groups, sharing

LOG = logging.getLogger(__name__)

NAME = "default"
# systemd-resolved lists the upstream servers in the second file when the first names its own stub.
_RESOLVERS = (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf"))


def make_network(session: orm.Session, conf: cfg.ConfigOpts, project_id: str, cidr: str, made: list[str]) -> str:
    """Return the id of the default network; creates it, shared and with a gateway on each host, if there is none.

    The first address is the gateway, the second every host's DHCP and metadata server, the rest is for guests.
    Raises Invalid when `cidr` is not an IPv4 block with room for them.
    """
    there = session.execute(sa.select(Network).where(Network.is_default.is_(True))).scalars().first()
    if there is not None:
        return there.id
    block = _block(cidr)
    network = Network(id=ids.new_id(), name=NAME, project_id=project_id, description="The network servers get unasked",
                      is_default=True, host_gateway=True, mtu=conf.network.mtu)
    session.add(network)
    session.flush()
    sharing.set_shared(session, network, True)
    session.add(Subnet(
        name=NAME, project_id=project_id, network_id=network.id, cidr=str(block), gateway_ip=str(block[1]),
        dhcp_ip=str(block[2]), allocation_pools=[{"start": str(block[3]), "end": str(block[-2])}],
        dns_nameservers=[] if conf.network.dns_servers else host_resolvers(_RESOLVERS)))
    session.flush()
    made.append(f"network {NAME} ({block})")
    return network.id


def make_default_group(session: orm.Session, project_id: str, made: list[str], *, open_to_all: bool) -> None:
    """Make the project's default security group; `open_to_all` adds ssh and ping from anywhere."""
    before = session.execute(sa.select(SecurityGroup.id).where(SecurityGroup.default_of == project_id)).scalar()
    group = security_groups.ensure_default(session, project_id)
    if before is None:
        made.append(f"security group {group.name}")
    if open_to_all:
        _open(session, group, made)


def host_resolvers(files: Sequence[Path]) -> list[str]:
    """Return the IPv4 name servers of the first of `files` that names any a guest could reach; loopback ones not."""
    for path in files:
        try:
            lines = path.read_text().splitlines()
        except OSError as error:
            LOG.debug("%s is not readable: %s", path, error)
            continue
        named = [line.split()[1] for line in lines if line.startswith("nameserver") and len(line.split()) > 1]
        usable = [address for address in named if _is_reachable(address)]
        if usable:
            return usable
    return []


def _is_reachable(text: str) -> bool:
    try:
        address = ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return not (address.is_loopback or address.is_unspecified or address.is_link_local)


def _block(cidr: str) -> ipaddress.IPv4Network:
    try:
        block = ipaddress.IPv4Network(cidr)
    except ValueError as error:
        raise errors.Invalid(reason=f"{cidr} is not an IPv4 network: {error}") from error
    if block.prefixlen > 29:
        raise errors.Invalid(reason=f"{cidr} is too small for a gateway, a DHCP server and guests.")
    return block


def _open(session: orm.Session, group: SecurityGroup, made: list[str]) -> None:
    there = session.execute(sa.select(SecurityGroupRule).where(
        SecurityGroupRule.group_id == group.id, SecurityGroupRule.direction == "ingress",
        SecurityGroupRule.ethertype == "IPv4", SecurityGroupRule.remote_group_id.is_(None),
        SecurityGroupRule.remote_address_group_id.is_(None))).scalars().all()
    wanted = (("tcp", 22, 22, "ssh"), ("icmp", None, None, "ping"))
    for protocol, port_min, port_max, label in wanted:
        if not any(rule.protocol == protocol and rule.port_min == port_min for rule in there):
            session.add(SecurityGroupRule(
                project_id=group.project_id, group_id=group.id, direction="ingress", ethertype="IPv4",
                protocol=protocol, port_min=port_min, port_max=port_max))
            made.append(f"security group rule {label}")
