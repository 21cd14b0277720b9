"""Networks on one host: each is a Linux bridge with a namespace that answers DHCP and metadata.

What joins the bridge to other hosts is of the network's kind: `compute.network.uplinks`.

`FlatPlumbing` is the agent's `NetworkPlumbing`. Its verbs change the records and let `HostNetworks` make what differs.
Any of them repairs what a crash or a careless hand left behind, and `restore` is only that for all networks.

Refuses, with `AgentError`: a network that this host cannot carry, and two flat networks on one physical network.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections.abc import Mapping, Sequence

from oslo_config import cfg

from compute.network import dhcp_files, faults, firewall, links, names, nft, routers
from compute.network.networks import HostNetworks
from compute.network.plumbing import PasswordListener
from compute.network.records import PortRecord
from hostler import errors
from hostler.resources.network import kinds
from hostler.resources.server.specs import NetworkSpec, PortSpec, ServerSpec

LOG = logging.getLogger(__name__)


class FlatPlumbing(HostNetworks):
    """See `compute.network.plumbing.NetworkPlumbing` for what each method promises."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        super().__init__(conf, self._repair)

    def traits(self) -> list[str]:
        """Return what this host reports of the networks that it can carry."""
        return kinds.traits_of(self._uplinks.kinds, self._uplinks.physical_networks)

    def plug(self, server: ServerSpec, port: PortSpec) -> str:
        """Make all that `port` needs and return its bridge's name."""
        self._refuse(port.network)
        network_id = port.network.id
        with self._changing(network_id):
            record = self._adopt(port.network)
            record.ports[port.id] = PortRecord(port, server)
            self._store.save_port(record.ports[port.id])
            self._make(record)
        self._route()
        LOG.info("Port %s of server %s plugged into network %s", port.id, server.id, network_id)
        return names.bridge_name(network_id)

    def activate(self, port: PortSpec) -> None:
        """Apply filters and MTU again; raises `AgentError` when the port is not plugged or has no tap device."""
        with self._changing(port.network.id):
            record = self._records.get(port.network.id)
            if record is None or port.id not in record.ports:
                raise faults.fault(f"port {port.id} is not plugged on this host")
            self._filters.follow(record)
            links.activate_tap(names.tap_name(port.id), self._layout(record.network))
        self._routers.announce([port], arrive=True)

    def unplug(self, port: PortSpec) -> None:
        """Remove what `port` had, and the network with its last port."""
        network_id = port.network.id
        with self._changing(network_id):
            links.detach_tap(names.tap_name(port.id))
            record = self._records.get(network_id)
            if record is None:
                if self._store.directory(network_id).exists():
                    self._unmake(network_id)
                return
            record.ports.pop(port.id, None)
            self._store.remove_port(network_id, port.id)
            if self._needs(record):
                self._serve_dhcp(record)
                self._filters.load(record)
            else:
                self._unmake(network_id)
        self._route()
        LOG.info("Port %s unplugged from network %s", port.id, network_id)

    def apply_rules(self, ports: Sequence[PortSpec]) -> None:
        """Enforce the ports as they are now; those that are not plugged here are ignored."""
        for network_id in dict.fromkeys(port.network.id for port in ports):
            with self._changing(network_id):
                record = self._records.get(network_id)
                if record is not None and self._adopt_ports(record, [p for p in ports if p.network.id == network_id]):
                    self._serve_dhcp(record)
                    self._filters.load(record)
        self._route()
        self._routers.announce(ports)

    def update_groups(self, groups: Mapping[str, Sequence[str]]) -> None:
        """Remember the members, then let the networks whose rules name the groups follow: one set, not the rules; and
        those whose ports are elsewhere now: the lines that differ."""
        moved = {name: kinds.network_of(name) for name in groups}
        for name, members in groups.items():
            (self._groups if moved[name] is None else self._peers).save(moved[name] or name, members)
        with self._guard:
            network_ids = list(self._records)
        failure = None
        for network_id in network_ids:
            with self._changing(network_id):
                record = self._records.get(network_id)
                try:
                    if record is not None:
                        self._filters.refill(record)
                        if network_id in moved.values():
                            self._reach(record)
                except errors.HostlerError as error:
                    # The next message tries again; the other networks follow now.
                    LOG.error("Members of security groups, or ports elsewhere, of network %s: %s", network_id,
                              error.details)
                    failure = error
        if self._routers.serves(moved.values()):
            self._route()
        if failure is not None:
            raise failure

    def update_network(self, network: NetworkSpec, ports: Sequence[PortSpec]) -> None:
        """Adopt the network's new values; one that has no port here is ignored."""
        with self._changing(network.id):
            if network.id not in self._records:
                return
            record = self._adopt(network)
            self._adopt_ports(record, ports)
            self._make(record)
            for port_id in record.ports:
                # A guest that is switched off has no tap; it gets its MTU when it starts.
                with contextlib.suppress(errors.AgentError):
                    links.activate_tap(names.tap_name(port_id), self._layout(network))
        self._route()

    def restore(self, servers: Sequence[ServerSpec]) -> None:
        """Make everything for `servers` again and remove the rest.

        A network that cannot be made is logged and does not keep the others from being served.
        """
        wanted: dict[str, list[PortRecord]] = {}
        for server in servers:
            for port in server.ports:
                wanted.setdefault(port.network.id, []).append(PortRecord(port, server))
        self._groups.keep_only(firewall.groups_named(port for server in servers for port in server.ports))
        routing = routers.wanted((port for server in servers for port in server.ports), self._host)
        held = routers.networks_of(routing)
        self._peers.keep_only({*wanted, *held})
        links.remove_strays({*wanted, *held}, [port.id for router in routing.values() for port in router.ports])
        with self._guard:
            known = set(self._records)
        for network_id in sorted({*known, *self._store.strays(())} - set(wanted)):
            if network_id in held and network_id in known:
                with self._changing(network_id):
                    self._drop_others(network_id, set())
            else:
                self._restore_one(network_id, [])
        for network_id, ports in wanted.items():
            self._restore_one(network_id, ports)
        self._route(again=True)

    def update_server(self, server: ServerSpec) -> None:
        """Answer metadata and DHCP requests of `server` with its new values."""
        hostnames = {port.id: port.hostname for port in server.ports}
        with self._guard:
            network_ids = list(self._records)
        for network_id in network_ids:
            with self._changing(network_id):
                record = self._records.get(network_id)
                ports = [port for port in record.ports.values() if port.server.id == server.id] if record else []
                for port in ports:
                    hostname = hostnames.get(port.port.id, port.port.hostname)
                    port.port = dataclasses.replace(port.port, hostname=hostname)
                    port.server, port.documents = server, None
                    self._store.save_port(port)
                if record is not None and ports:
                    self._serve_dhcp(record)
        if self._routers.serves(network_ids):
            self._route()

    def on_password(self, listener: PasswordListener) -> None:
        """Hand posted passwords to `listener`."""
        self._guests.listener = listener

    def close(self) -> None:
        """Stop answering metadata requests and watching; all else goes on."""
        self.leaders.close()
        self._watchdog.close()
        self._metadata.close()

    def _restore_one(self, network_id: str, ports: list[PortRecord]) -> None:
        with self._changing(network_id):
            try:
                self._drop_others(network_id, {port.port.id for port in ports})
                if not ports:
                    self._unmake(network_id)
                    return
                record = self._adopt(ports[0].port.network)
                for port in ports:
                    self._refuse(port.port.network)
                    record.ports[port.port.id] = port
                    self._store.save_port(port)
                self._make(record)
                # The agent before this one may have written entries and died before dnsmasq read them.
                self._dnsmasq(network_id).reload()
            except errors.HostlerError as failure:
                LOG.error("Network %s could not be restored on this host: %s", network_id, failure.details)

    def _drop_others(self, network_id: str, wanted: set[str]) -> None:
        record = self._records.get(network_id)
        for port_id in [port_id for port_id in (record.ports if record is not None else ()) if port_id not in wanted]:
            links.detach_tap(names.tap_name(port_id))
            if record is not None:
                del record.ports[port_id]
            self._store.remove_port(network_id, port_id)

    def _repair(self) -> None:
        """Repair what others broke, for the watchdog: filters that were flushed (packet filters are often reloaded by
        flushing all there are), DHCP servers that ended, routers that were removed."""
        lost = self._routers.lost()
        if lost or self._routers.broken:
            self._route(again=bool(lost))
        with self._guard:
            network_ids = list(self._records)
        present = nft.tables() if network_ids else None
        for network_id in network_ids:
            name = names.table_name(network_id)
            unfiltered = present is not None and not {("bridge", name), ("inet", name)} <= present
            if not unfiltered and self._dnsmasq(network_id).alive():
                continue
            with self._changing(network_id):
                record = self._records.get(network_id)
                if record is None or not self._needs(record):
                    continue
                try:
                    if unfiltered:
                        LOG.warning("The filters of network %s are gone; loading them again", network_id)
                        self._filters.load(record)
                    if dhcp_files.served_subnets(record.network) and not self._dnsmasq(network_id).alive():
                        LOG.warning("DHCP server of network %s is gone; starting it again", network_id)
                        self._serve_dhcp(record)
                except errors.HostlerError as failure:
                    LOG.error("Network %s cannot be repaired: %s", network_id, failure.details)
