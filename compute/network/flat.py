"""Networks on one host: each is a Linux bridge with a namespace that answers DHCP and metadata.

What joins the bridge to other hosts is of the network's kind: `compute.network.uplinks`.

`FlatPlumbing` is the agent's `NetworkPlumbing`. Every change goes the same way: write the records (`records`), then
make the whole network so (`_make`), in steps that compare before they act. Hence any method repairs what a crash or a
careless hand left behind, and `restore` is only that for all networks.

Refuses, with `AgentError`: a network that this host cannot carry, and two flat networks on one physical network.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent import futures
from pathlib import Path

from oslo_config import cfg

from compute.leader_watch import LeaderWatch
from compute.network import dhcp_files, faults, firewall, host_check, links, names, nft, routers
from compute.network.dhcp_server import DhcpServer
from compute.network.dnsmasq import Dnsmasq
from compute.network.echo import IcmpEcho
from compute.network.filters import Filters
from compute.network.guests import Guests
from compute.network.links import Layout
from compute.network.metadata_server import MetadataServer
from compute.network.plumbing import PasswordListener
from compute.network.records import GroupStore, NetworkRecord, PortRecord, RecordStore, choose_zone
from compute.network.uplinks import Uplinks
from compute.network.watchdog import Watchdog
from hostler import errors
from hostler.resources.network import kinds, services
from hostler.resources.server.specs import NetworkSpec, PortSpec, ServerSpec

LOG = logging.getLogger(__name__)


class FlatPlumbing:
    """See `compute.network.plumbing.NetworkPlumbing` for what each method promises."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._uplinks = Uplinks(conf)
        self._dhcp = DhcpServer(tuple(conf.network.dns_servers), conf.network.dhcp_lease_time)
        self._store = RecordStore(Path(conf.state_path).absolute() / "compute" / "networks")
        self._records = self._store.load()
        self._groups = GroupStore(self._store.root.with_name("groups"))
        self._filters = Filters(self._groups, self._layout)
        self._peers = GroupStore(self._store.root.with_name("peers"), read=list)
        # Guards `_records` and `_locks`; a network's own lock is held while the network is changed.
        self._guard = threading.Lock()
        self._locks: dict[str, threading.RLock] = {}
        self._host = str(conf.host)
        self.leaders = LeaderWatch.of(conf, IcmpEcho())
        self._routers = routers.Routers(
            self._store.root.with_name("routers"), self._host, self._hold, self._drop_idle, self._dhcp,
            lambda network_id: self._peers.ranges([network_id])[network_id], self.leaders)
        self._host_checked = False
        self._guests = Guests(self._records, self._guard)
        self._metadata = MetadataServer(self._guests.documents, self._guests.take_password)
        self._watchdog = Watchdog(self._repair)

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
        self._routers.announce(port)

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
        for port in ports:
            self._routers.announce(port)

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

    @contextlib.contextmanager
    def _changing(self, network_id: str) -> Iterator[None]:
        with self._guard:
            lock = self._locks.setdefault(network_id, threading.RLock())
        with lock:
            yield

    def _route(self, *, again: bool = False) -> None:
        self._routers.make(lambda: self._ports, again=again)

    @property
    def _ports(self) -> list[PortSpec]:
        with self._guard:
            return [record.port for network in self._records.values() for record in list(network.ports.values())]

    def _drop_idle(self, held: Collection[str]) -> None:
        """Remove networks without ports that no router here leads to."""
        with self._guard:
            idle = [network_id for network_id, record in self._records.items()
                    if not record.ports and network_id not in held]
        for network_id in idle:
            with self._changing(network_id):
                if network_id in self._records and not self._records[network_id].ports:
                    self._unmake(network_id)

    def _hold(self, network: NetworkSpec) -> None:
        """Make a network that a router here leads to, unless it is there for guests."""
        with self._changing(network.id):
            record = self._records.get(network.id)
            if record is None or not record.ports:
                self._refuse(network)
                self._make(self._adopt(network))

    def _needs(self, record: NetworkRecord) -> bool:
        return bool(record.ports) or record.network.id in self._routers.held

    def _refuse(self, network: NetworkSpec) -> None:
        self._layout(network)
        if network.network_type == kinds.FLAT and network.physical_network is not None:
            with self._guard:
                others = [record.network.id for record in self._records.values() if record.network.id != network.id
                          and record.network.network_type == kinds.FLAT
                          and record.network.physical_network == network.physical_network]
            if others:
                raise faults.fault(f"physical network {network.physical_network} carries network {others[0]} on this "
                                   "host already")

    def _layout(self, network: NetworkSpec) -> Layout:
        return dataclasses.replace(self._uplinks.layout(network, self._namespace(network.id)), host=self._host)

    def _namespace(self, network_id: str) -> Path:
        return self._store.directory(network_id) / names.namespace_name(network_id)

    def _dnsmasq(self, network_id: str) -> Dnsmasq:
        return Dnsmasq(self._store.directory(network_id), self._namespace(network_id))

    def _adopt(self, network: NetworkSpec) -> NetworkRecord:
        """Return the network's record with its newest values, written down."""
        with self._guard:
            record = self._records.get(network.id)
            if record is None:
                zone = choose_zone(network.id, (other.zone for other in self._records.values()))
                record = self._records[network.id] = NetworkRecord(network, zone)
            record.network = network
        self._store.save_network(record)
        return record

    def _adopt_ports(self, record: NetworkRecord, ports: Sequence[PortSpec]) -> bool:
        """Take new values for those of `ports` that are plugged; return whether there was one."""
        mine = [port for port in ports if port.id in record.ports]
        for port in mine:
            record.ports[port.id].port = port
            self._store.save_port(record.ports[port.id])
        return bool(mine)

    def _make(self, record: NetworkRecord) -> None:
        """Make a network so: 1. filters and links at once, 2. DHCP, 3. metadata, 4. where ports elsewhere are.

        Filters name devices and may stand before them; guests' devices are made later, so none is ever without. Step 4
        may take the way to an elected host, so nothing slow is between it and the making of routers.
        """
        if not self._host_checked:
            host_check.check()
            self._host_checked = True
        layout = self._layout(record.network)
        with futures.ThreadPoolExecutor(1, "filters") as pool:
            loading = pool.submit(self._filters.load, record)
            links.make_network(layout)
            loading.result()
        self._serve_dhcp(record)
        self._metadata.listen(record.network.id, layout.namespace, services.USERDATA not in record.network.providers)
        self._reach(record)
        self._watchdog.start()

    def _unmake(self, network_id: str) -> None:
        """Remove a network: the reverse of `_make`; the directory goes last, so that a restart finishes it."""
        with self._guard:
            record = self._records.get(network_id)
        network = record.network if record is not None else NetworkSpec(id=network_id, name="")
        self._metadata.stop(network_id)
        self._dnsmasq(network_id).stop()
        links.remove_network(Layout(network, self._namespace(network_id), None))
        nft.apply(firewall.render_removal(network_id))
        self._store.remove_network(network_id)
        with self._guard:
            self._records.pop(network_id, None)
        LOG.info("Network %s has no port left on this host; removed", network_id)

    def _reach(self, record: NetworkRecord) -> None:
        """Write where the ports of a VXLAN network are that other hosts have."""
        network = record.network
        if network.network_type == kinds.VXLAN:
            [members] = self._peers.ranges([network.id]).values()
            wanted = routers.places(network, members, self._host, self._uplinks.tunnel_ip)
            record.programmed = links.program(self._layout(network), wanted, record.programmed)

    def _serve_dhcp(self, record: NetworkRecord) -> None:
        network, dnsmasq = record.network, self._dnsmasq(record.network.id)
        subnets = dhcp_files.served_subnets(network)
        if subnets:
            self._dhcp.make(dnsmasq, network, names.veth_inner_name(network.id), record.port_specs,
                            str(subnets[0].dhcp_ip))
        else:
            dnsmasq.stop()

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
