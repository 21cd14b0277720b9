"""Records of routers and floating IPs that lost their other half: ports that hold addresses for nobody, and floating
IPs and port forwardings that lead to an address that their port does not have."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import orm

from conductor.audit.evidence import Inventory
from conductor.audit.finding import Finding
from conductor.audit.repair import Repairs
from hostler.db.models import FixedIp, FloatingIp, Port, PortForwarding, RouterPort
from hostler.operations.accept import Target
from hostler.resources.network import routers
from hostler.resources.network.router_specs import SNAT

_OWNERS: Final = ("network:router_interface", "network:router_gateway", routers.AGENT_OWNER)
_HELD = sa.exists().where(RouterPort.port_id == Port.id,
                          sa.or_(RouterPort.role != SNAT, RouterPort.host_id.is_not(None)))
_LEADING = sa.exists().where(FloatingIp.public_port_id == Port.id)
_IDLE_PORTS = sa.select(Port.id, Port.device_owner, Port.device_id).where(sa.or_(
    sa.and_(Port.device_owner.in_(_OWNERS), Port.device_id != "", ~_HELD),
    sa.and_(Port.device_owner == "network:floatingip", Port.device_id != "", ~_LEADING))).order_by(Port.id)


def _lost(model: Any) -> Any:
    return sa.select(model.id, model.port_id, model.fixed_ip_address).where(
        model.port_id.is_not(None),
        ~sa.exists().where(FixedIp.port_id == model.port_id, FixedIp.ip_address == model.fixed_ip_address)
    ).order_by(model.id)


class RouterRecords:
    """Deletes the ports; lets floating IPs lead nowhere and deletes the forwardings."""

    name = "routers"
    about = "ports of routers and floating IPs that are gone, and floating IPs that lead to an address that is gone"

    def find(self, session: orm.Session, inventory: Inventory) -> list[Finding]:
        """Compare the records with one another."""
        found = [Finding(self.name, Target("port", row.id),
                         f"holds its address for {row.device_owner} {row.device_id}, which has no use for it",
                         "delete it", details={"of": "port"}) for row in session.execute(_IDLE_PORTS)]
        for kind, model in (("floating_ip", FloatingIp), ("port_forwarding", PortForwarding)):
            found += [Finding(self.name, Target(kind, row.id),
                              f"leads to {row.fixed_ip_address}, which port {row.port_id} does not have",
                              "let it lead nowhere" if model is FloatingIp else "delete it",
                              details={"of": row.port_id}) for row in session.execute(_lost(model))]
        return found

    def repair(self, repairs: Repairs, finding: Finding) -> str:
        """Do what was said; hosts follow."""
        def work(session: orm.Session) -> None:
            if finding.details["of"] == "port":
                routers.remove_ports(session, [finding.target.id])
                return
            leading = _routers_of(session, finding.details["of"])
            routers.forget_addresses(session, finding.details["of"])
            for router_id in leading:
                repairs.run.follow(routers.notify_of_router(session, repairs.context, router_id))

        repairs.write(work)
        return "deleted it" if finding.details["of"] == "port" else "it leads nowhere any more"


def _routers_of(session: orm.Session, port_id: str) -> list[str]:
    forwarded = sa.select(PortForwarding.floating_ip_id).where(PortForwarding.port_id == port_id)
    return [str(found) for found in session.scalars(sa.select(FloatingIp.router_id).distinct().where(
        FloatingIp.router_id.is_not(None), sa.or_(FloatingIp.port_id == port_id, FloatingIp.id.in_(forwarded))))]
