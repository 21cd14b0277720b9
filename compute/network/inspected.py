"""The plumbing with what the doctor asks of it: how the host differs from the records here, and to make it right."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from compute.network import dhcp_files, firewall, inspection, links, names, nft, overlay, routers
from compute.network.flat import FlatPlumbing
from compute.network.inspection import Difference, Seen
from compute.network.records import NetworkRecord
from compute.network.router_rules import HostRouter
from hostler import errors
from hostler.resources.server.specs import ServerSpec

LOG = logging.getLogger(__name__)


class InspectedPlumbing(FlatPlumbing):
    """See `compute.network.plumbing.NetworkPlumbing`."""

    def inspect(self, places: Mapping[str, Sequence[str]]) -> dict[str, Any]:
        """Return how the host differs, where floating addresses are, and which lines for `places` are missing."""
        seen = self._look()
        records, made = self._known()
        differences = [*inspection.strays(seen, records, made), *self._differences(seen, records, made)]
        return {
            "differences": [difference.to_wire() for difference in differences],
            "addresses": {router_id: inspection.external_addresses(self._router(router_id), router)
                          for router_id, router in made.items()},
            "lacking": {network_id: [inspection.describe(entry) for entry in inspection.lacking(
                seen, network_id, overlay.entries(members, self._uplinks.tunnel_ip))]
                for network_id, members in places.items()}}

    def restore(self, servers: Sequence[ServerSpec]) -> None:
        """Make everything for `servers` again, but lead outside only where this host did without a break."""
        self._routers.doubt(port for server in servers for port in server.ports)
        super().restore(servers)

    def confirm(self) -> None:
        """Lead outside as what is kept says."""
        self._routers.confirm(lambda: self._ports)

    def repair(self) -> None:
        """Make each network and router again, and remove what belongs to none."""
        seen = self._look()
        records, made = self._known()
        for stray in inspection.strays(seen, records, made):
            self._remove(stray)
        for network_id in records:
            with self._changing(network_id):
                record = self._records.get(network_id)
                if record is not None and self._needs(record):
                    record.programmed = None
                    self._make(record)
                    for port_id in record.ports:
                        if names.tap_name(port_id) in seen.links:
                            links.activate_tap(names.tap_name(port_id), self._layout(record.network))
        self._route(again=True)

    def _look(self) -> Seen:
        return inspection.look(self._store.root, self._store.root.with_name("routers"))

    def _known(self) -> tuple[dict[str, NetworkRecord], dict[str, HostRouter]]:
        with self._guard:
            records = dict(self._records)
        return records, routers.wanted(self._ports, self._host)

    def _router(self, router_id: str) -> Path:
        return self._store.root.with_name("routers") / router_id / names.router_namespace_name(router_id)

    def _differences(self, seen: Seen, records: Mapping[str, NetworkRecord],
                     made: Mapping[str, HostRouter]) -> Iterator[Difference]:
        for record in records.values():
            try:
                places = routers.places(record.network, self._peers.ranges([record.network.id])[record.network.id],
                                        self._host, self._uplinks.tunnel_ip)
                members = self._groups.ranges(firewall.groups_named(record.port_specs))
                yield from inspection.network(seen, record, self._layout(record.network), members, places)
                runs = self._dnsmasq(record.network.id).alive()
                if runs != bool(dhcp_files.served_subnets(record.network)):
                    yield Difference("network", record.network.id, "its DHCP server", leftover=runs)
            except errors.AgentError as failure:
                yield Difference("network", record.network.id, f"what it needs here: {failure.details}")
        for router_id, router in made.items():
            try:
                yield from inspection.router(seen, router, self._router(router_id))
            except errors.AgentError as failure:
                yield Difference("router", router_id, f"what it needs here: {failure.details}")
        yield from self._routers.servers_differ(made)

    def _remove(self, stray: Difference) -> None:
        LOG.warning("The %s %s belongs to no network, router or port on this host; removing it", stray.type, stray.id)
        if stray.type == "link" and not stray.id.startswith(names.TAP_PREFIX):
            links.remove(stray.id)
        elif stray.type == "link":
            links.detach_tap(stray.id)
        elif stray.type == "table":
            nft.apply(f"delete table {stray.id}\n")
        elif stray.type == "network":
            with self._changing(stray.id):
                self._unmake(stray.id)
