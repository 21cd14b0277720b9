"""Rows of a router with an elected host."""

from __future__ import annotations

from typing import Any

from sqlalchemy import orm

from hostler import ids
from hostler.db.models import FixedIp, Host, Network, Port, Router, RouterPort, Server, Subnet
from tests.harness.conductor_rig import Rig


def seed(session: orm.Session, rig: Rig) -> str:
    """Make a router with a guest on each of four hosts, of which host3 has its gateway; returns its id."""
    project, zone = str(rig.context.project_id), session.get_one(Host, rig.host_id).zone_id
    hosts = [rig.host_id, *(ids.new_id() for _ in range(3))]
    session.add_all(Host(id=hosts[number - 1], name=f"host{number}", number=number, zone_id=zone, vcpus=8, ram_mib=8192,
                         disk_gib=100) for number in (2, 3, 4))
    inside, outside = (Network(id=ids.new_id(), name=name, project_id=project) for name in ("inside", "outside"))
    router = Router(id=ids.new_id(), name="r", project_id=project, distributed=False)
    session.add_all([inside, outside, router])
    session.flush()
    subnets = {network.id: Subnet(id=ids.new_id(), name="", project_id=project, network_id=network.id, cidr=cidr,
                                  ip_version=4, allocation_pools=[])
               for network, cidr in ((inside, "10.0.0.0/24"), (outside, "203.0.113.0/24"))}
    session.add_all(subnets.values())
    session.flush()

    def port(network: Network, number: int, **values: Any) -> str:
        made = Port(id=ids.new_id(), name="", project_id=project, network_id=network.id,
                    mac_address=f"fa:16:3e:00:00:{number:02x}", **values)
        session.add(made)
        session.flush()
        session.add(FixedIp(port_id=made.id, subnet_id=subnets[network.id].id, ip_address=subnets[
            network.id].cidr.replace("0/24", str(number))))
        return made.id

    for number, host in enumerate(hosts, 10):
        server = Server(id=ids.new_id(), name="one", project_id=project, user_id=rig.context.user_id,
                        vm_state="active", flavor_id=ids.new_id(), vcpus=1, ram_mib=64, root_gib=1)
        session.add(server)
        session.flush()
        port(inside, number, server_id=server.id, host_id=host)
    session.add_all([RouterPort(port_id=port(inside, 1), router_id=router.id, role="interface"),
                     RouterPort(port_id=port(outside, 2), router_id=router.id, role="gateway", host_id=hosts[2])])
    return router.id
