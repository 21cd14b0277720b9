"""The task that has hosts follow which of them lead outside for a router."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Iterable
from concurrent import futures
from typing import Final

import sqlalchemy as sa

from conductor.tasks.host.networks import NotifyHosts, ports_by_host
from hostler.db.models import Host, Port, Router, RouterPort
from hostler.resources.network.router_specs import GATEWAY
from hostler.resources.network.routers import networks_of
from hostler.resources.server.specs import PortSpec

# Hosts told at the same time: after a failure each has no way out until it is told.
_AT_ONCE: Final = 16


def _has_addresses(host: str, ports: Iterable[PortSpec]) -> bool:
    """Return whether floating IPs lead to guests on a host."""
    return any(port.floating_ips or any(one.entry == host for router in port.network.routers
                                        for one in router.forwardings) for port in ports)


class UpdateRouter(NotifyHosts):
    """Have the hosts of a router's guests follow which of them lead outside. Revert: nothing to undo."""

    def execute(self, router_id: str, leaving: str | None) -> None:
        """Make before break: first the host that leads from now on, last the one that does so no more for others.

        The latter may be dead, and is not waited for: it is told when it reconciles.
        """
        ports, leader, distributed = self._read(router_id)
        first = {host for host in ports if host == leader and not distributed}
        last = {host for host in ports if host == (leader if distributed else leaving)} - first
        members = {host: self.members(ports[host]) for host in ports}

        def update(host: str) -> None:
            for network in {port.network.id: port.network for port in ports[host]}.values():
                self.run.cloud.compute.update_network(
                    self.run.context, host, network, [port for port in ports[host] if port.network.id == network.id],
                    members[host])

        silent = [host for hosts in (first, ports.keys() - first - last, last)
                  for host in self._tell_together(hosts, update)]
        # Frames of the one before may have gone out after a first announcement.
        leading = {host for host in ports if _has_addresses(host, ports[host])} if distributed else first
        self._tell_together(leading.difference(silent), lambda host: self.run.cloud.compute.apply_port_rules(
            self.run.context, host, ports[host], members[host]))
        self.run.wait_for_silent([host for host in silent if host != leaving])

    def _tell_together(self, hosts: Iterable[str], call: Callable[[str], None]) -> list[str]:
        """Make the call to some hosts at the same time; return those that were silent. Raises once all are through."""
        names = sorted(hosts)
        if not names:
            return []
        with futures.ThreadPoolExecutor(min(_AT_ONCE, len(names)), thread_name_prefix="routers") as pool:
            # Each with this thread's context, which says whose run it is.
            asked = {host: pool.submit(contextvars.copy_context().run, self.answers, host, call) for host in names}
        return [host for host, answered in asked.items() if not answered.result()]

    def _read(self, router_id: str) -> tuple[dict[str, list[PortSpec]], str | None, bool]:
        """Return the ports on the router's networks by host, the host with the gateway, and whether each leads."""
        with self.run.reading() as session:
            ids = session.scalars(sa.select(Port.id).where(
                Port.network_id.in_(networks_of(session, router_id)), Port.host_id.is_not(None))).all()
            leader, distributed = session.execute(
                sa.select(Host.name, Router.distributed).select_from(Router)
                .outerjoin(RouterPort, sa.and_(RouterPort.router_id == Router.id, RouterPort.role == GATEWAY))
                .outerjoin(Host, Host.id == RouterPort.host_id)
                .where(Router.id == router_id)).tuples().one_or_none() or (None, True)
        return ports_by_host(self.run, list(ids)), leader, distributed
