"""When each host came to lead outside for its own guests again, nobody announced floating IPs where they are from then
on: the outside went on sending to the host before, until it asked for their MACs again (29 s were seen)."""

from __future__ import annotations

from typing import Any
from unittest import mock

import sqlalchemy as sa

from conductor.run import Silences
from hostler import ids
from hostler.db.models import FixedIp, FloatingIp, Host, Network, Port, Router
from hostler.resources.network import host_updates
from tests.harness import elected_routers
from tests.harness.conductor_rig import Rig, rig

__all__ = ["rig"]


def test_the_hosts_with_floating_ips_announce_them_once_the_one_before_was_told(rig: Rig) -> None:
    told: Any = mock.Mock()
    rig.host.update_network = told.update_network  # type: ignore[attr-defined]
    rig.host.apply_port_rules = told.apply_port_rules  # type: ignore[attr-defined]
    rig.cloud.silences = Silences(window_s=300)

    def prepare(session: Any) -> list[str]:
        router_id = elected_routers.seed(session, rig)
        session.execute(sa.update(Router).values(distributed=True))
        port_id, address = session.execute(sa.select(Port.id, FixedIp.ip_address).join(
            FixedIp, FixedIp.port_id == Port.id).join(Host, Host.id == Port.host_id).where(Host.name == "host2")).one()
        outside, inside = (session.scalars(sa.select(Network.id).where(Network.name == name)).one()
                           for name in ("outside", "inside"))
        [subnet_id] = session.scalars(sa.select(FixedIp.subnet_id).join(Port, Port.id == FixedIp.port_id).where(
            Port.network_id == outside).distinct()).all()
        own = Port(id=ids.new_id(), name="", project_id=rig.context.project_id, network_id=outside,
                   mac_address="fa:16:3e:00:00:99")
        session.add(own)
        session.flush()
        session.add(FixedIp(port_id=own.id, subnet_id=subnet_id, ip_address="203.0.113.99"))
        session.add(FloatingIp(id=ids.new_id(), project_id=rig.context.project_id, network_id=outside,
                               address="203.0.113.99", fixed_ip_address=address, router_id=router_id, port_id=port_id,
                               public_port_id=own.id))
        return list(host_updates.tell_router(session, rig.context, router_id, [inside]))

    [operation_id] = rig.db.write(prepare)
    assert rig.run(operation_id) is None
    order = [(name, arguments[1]) for name, arguments, _ in told.mock_calls]
    assert order[-2:] == [("update_network", "host3"), ("apply_port_rules", "host2")] and len(order) == 5
