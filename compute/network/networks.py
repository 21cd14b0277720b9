"""The networks of one host: what is known of each, and how it is made, changed and removed.

Every change goes the same way: write the records (`records`), then make the whole network so (`_make`), in steps that
compare before they act. Hence whatever makes a network repairs what a crash or a careless hand left behind.

`compute.network.flat` has the verbs that agents call.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
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
from compute.network.records import GroupStore, NetworkRecord, RecordStore, choose_zone
from compute.network.uplinks import Uplinks
from compute.network.watchdog import Watchdog
from hostler.resources.network import kinds, services
from hostler.resources.server.specs import NetworkSpec, PortSpec

LOG = logging.getLogger(__name__)


class HostNetworks:
    """Bridges, namespaces, DHCP, metadata, filters, and the routers between them. `repair` is called every few seconds
    once there is a network."""

    def __init__(self, conf: cfg.ConfigOpts, repair: Callable[[], None]) -> None:
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
        self._watchdog = Watchdog(repair)

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
        """Remove a network: the reverse of `_make`; the directory goes last, so that a restart finishes it.

        Nothing is in its bridge when its filters go, which the kernel may do while it removes links: both wait long.
        """
        with self._guard:
            record = self._records.get(network_id)
        network = record.network if record is not None else NetworkSpec(id=network_id, name="")
        self._metadata.stop(network_id)
        self._dnsmasq(network_id).stop()
        layout = Layout(network, self._namespace(network_id), None)
        links.empty_bridge(layout)
        with futures.ThreadPoolExecutor(1, "filters") as pool:
            removing = pool.submit(nft.apply, firewall.render_removal(network_id))
            links.remove_links(layout)
            removing.result()
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
