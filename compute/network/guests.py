"""Finds the guest that asks its metadata service, by its network and the address it asks from."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from compute import metadata
from compute.network.plumbing import PasswordListener
from compute.network.records import NetworkRecord, PortRecord
from hostler.resources.network import autoconf


class Guests:
    """Reads the plumbing's records, which `guard` protects. `listener` takes the passwords that guests post."""

    def __init__(self, records: Mapping[str, NetworkRecord], guard: threading.Lock) -> None:
        self._records, self._guard = records, guard
        self.listener: PasswordListener = lambda _server_id, _password: False

    def documents(self, network_id: str, source_ip: str) -> dict[str, bytes] | None:
        """Return the metadata of the server that has `source_ip` in the network, or None."""
        port = self._find(network_id, source_ip)
        if port is None:
            return None
        if port.documents is None:
            port.documents = metadata.documents(port.server)
        return port.documents

    def take_password(self, network_id: str, source_ip: str, password: str) -> bool | None:
        """Keep what the server at `source_ip` posted; False when it has posted before, None for a stranger."""
        port = self._find(network_id, source_ip)
        return None if port is None else self.listener(port.server.id, password)

    def _find(self, network_id: str, source_ip: str) -> PortRecord | None:
        with self._guard:
            record = self._records.get(network_id)
            ports = list(record.ports.values()) if record is not None else []
        return next((port for port in ports
                     if source_ip in (autoconf.link_local(port.port.mac_address),
                                      *(fixed.ip_address for fixed in port.port.fixed_ips))), None)
