"""What hosts have of networks and routers that nothing needs, or lack: links, namespaces, rules, lines, addresses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from conductor.audit.evidence import Inventory
from conductor.audit.finding import Finding
from conductor.audit.repair import Repairs
from hostler.db.models import FixedIp, FloatingIp, Host, Port, Router, RouterPort
from hostler.operations.accept import Target
from hostler.resources.network.port_specs import members_for, port_specs
from hostler.resources.network.router_specs import GATEWAY


class HostNetworks:
    """Has the host follow the records and make its networks right."""

    name = "host-networks"
    about = "namespaces, links, rules, forwarding lines and floating addresses on hosts that nothing needs, or missing"

    def find(self, session: orm.Session, inventory: Inventory) -> list[Finding]:
        """Take what agents say, and compare floating addresses with the records."""
        found = []
        for host, seen in sorted(inventory.hosts.items()):
            network = seen["network"]
            found += [self._finding(host, one["type"], one["id"], _problem(one), "remove it" if one["leftover"] else
                                    "make it again", one["what"]) for one in network["differences"]]
            found += [self._finding(host, "router", router_id, f"has address {address} on this host, which does not "
                                    "lead there by the records", "remove it", address)
                      for router_id, address in _strange(session, host, network["addresses"])]
        return [finding for finding in found if finding.target.id not in inventory.locked]

    def _finding(self, host: str, kind: str, identifier: str, said: str, remedy: str, of: str) -> Finding:
        return Finding(self.name, Target(kind, identifier), said, remedy, place=host, host=host, details={"of": of})

    def repair(self, repairs: Repairs, finding: Finding) -> str:
        """Tell the host its ports as the records have them, and have it compare."""
        host = str(finding.host)
        with repairs.run.reading() as session:
            ids = session.scalars(sa.select(Port.id).join(Host, Host.id == Port.host_id).where(Host.name == host)).all()
            ports = [port for specs in port_specs(session, port_ids=ids).values() for port in specs]
            groups = members_for(session, ports)
        repairs.ask(host, repairs.cloud.compute.apply_port_rules, ports, groups)
        repairs.ask(host, repairs.cloud.compute.repair_network)
        return "made it right"


def _problem(difference: dict[str, Any]) -> str:
    if not difference["leftover"]:
        return f"lacks {difference['what']}"
    return "belongs to nothing on this host" if difference["type"] in ("link", "table") else (
        f"has {difference['what'].removeprefix('has ')}, which it should not")


def _strange(session: orm.Session, host: str, present: dict[str, list[str]]) -> Iterator[tuple[str, str]]:
    """Yield the router and the address of those on a host that no record has there."""
    if not any(present.values()):
        return
    known: set[tuple[Any, Any]] = set(session.execute(
        sa.select(FloatingIp.router_id, FloatingIp.address).where(FloatingIp.router_id.in_(present))).tuples())
    known |= set(session.execute(
        sa.select(RouterPort.router_id, FixedIp.ip_address).join(FixedIp, FixedIp.port_id == RouterPort.port_id)
        .join(Host, Host.id == RouterPort.host_id)
        .where(RouterPort.router_id.in_(present), Host.name == host)).tuples())
    # At those of IPv6 every host answers, unless one is elected.
    known |= set(session.execute(
        sa.select(RouterPort.router_id, FixedIp.ip_address).join(FixedIp, FixedIp.port_id == RouterPort.port_id)
        .join(Router, Router.id == RouterPort.router_id)
        .where(RouterPort.router_id.in_(present), RouterPort.role == GATEWAY, Router.distributed,
               FixedIp.ip_address.contains(":"))).tuples())
    for router_id, addresses in sorted(present.items()):
        yield from ((router_id, address) for address in addresses if (router_id, address) not in known)
