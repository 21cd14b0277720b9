"""What is plugged on this host, kept under `<state_path>/compute/networks/<network id>/` so that a new agent knows.

    <network id>/network.json           the network and its conntrack zone
    <network id>/ports/<port id>.json   the port and its server (mode 600: user data and passwords are in it)

    ../groups/<group id>.json           the members of a security group that rules may name, once per host
    ../peers/<network id>.json          where the ports of a VXLAN network are

A network's directory is written before anything of the network exists in the kernel and removed after it, so what the
agent made is always found again. Files are replaced by rename; none is ever half written.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import shutil
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

from compute.network import rules
from compute.network.overlay import Tables
from hostler.agent.files import make_directory, write_atomically
from hostler.resources.server.specs import NetworkSpec, PortSpec, ServerSpec

LOG = logging.getLogger(__name__)

# Zone 0 is the host's own; the largest is 16 bits wide.
_ZONES = 65535


@dataclasses.dataclass
class PortRecord:
    """A plugged port and its server; `documents` is the cache of the server's metadata."""

    port: PortSpec
    server: ServerSpec
    documents: dict[str, bytes] | None = None


@dataclasses.dataclass
class NetworkRecord:
    """A network that has ports here. `zone` keeps its connections apart from those of networks with equal addresses."""

    network: NetworkSpec
    zone: int
    ports: dict[str, PortRecord] = dataclasses.field(default_factory=dict)
    # The members in the sets of the table in the kernel, by set; empty until this agent has loaded the table.
    loaded: dict[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    # The script that this agent loaded last; empty once sets alone have followed.
    script: str = ""
    # What this agent wrote into the tables of a VXLAN network; None until it has.
    programmed: Tables | None = None

    @property
    def port_specs(self) -> list[PortSpec]:
        """The plugged ports, in the order of their ids."""
        return [self.ports[port_id].port for port_id in sorted(self.ports)]


def choose_zone(network_id: str, taken: Iterable[int]) -> int:
    """Return a conntrack zone for a network: by its id, moved on while another network has it."""
    used = set(taken)
    zone = int(network_id.replace("-", "")[:8], 16) % _ZONES + 1
    while zone in used:
        zone = zone % _ZONES + 1
    return zone


class RecordStore:
    """Reads and writes the records below one directory."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def directory(self, network_id: str) -> Path:
        """Return the network's directory (which also holds its DHCP server's files and its namespace)."""
        return self.root / network_id

    def load(self) -> dict[str, NetworkRecord]:
        """Return all records by network id; unreadable ones are logged and left for `restore` to replace."""
        records: dict[str, NetworkRecord] = {}
        for path in sorted(self.root.glob("*/network.json")):
            values = _read(path)
            if values is None:
                continue
            record = NetworkRecord(NetworkSpec.from_wire(values["network"]), values["zone"])
            for port_path in sorted((path.parent / "ports").glob("*.json")):
                port_values = _read(port_path)
                if port_values is not None:
                    record.ports[port_path.stem] = PortRecord(PortSpec.from_wire(port_values["port"]),
                                                              ServerSpec.from_wire(port_values["server"]))
            records[path.parent.name] = record
        return records

    def strays(self, known: Iterable[str]) -> list[str]:
        """Return the ids of network directories that are not `known` (left by a crash before their record stood)."""
        if not self.root.exists():
            return []
        known_ids = set(known)
        return sorted(path.name for path in self.root.iterdir() if path.is_dir() and path.name not in known_ids)

    def save_network(self, record: NetworkRecord) -> None:
        """Write the network's own file (not its ports)."""
        _write(self.directory(record.network.id) / "network.json",
               {"network": record.network.to_wire(), "zone": record.zone})

    def save_port(self, record: PortRecord) -> None:
        """Write one port's file."""
        _write(self._port_path(record.port.network.id, record.port.id),
               {"port": record.port.to_wire(), "server": record.server.to_wire()})

    def remove_port(self, network_id: str, port_id: str) -> None:
        """Forget one port; fine when it is not there."""
        self._port_path(network_id, port_id).unlink(missing_ok=True)

    def remove_network(self, network_id: str) -> None:
        """Forget a network and everything in its directory; the namespace must be gone from it."""
        directory = self.directory(network_id)
        if directory.exists():
            shutil.rmtree(directory)

    def _port_path(self, network_id: str, port_id: str) -> Path:
        return self.directory(network_id) / "ports" / f"{port_id}.json"


class GroupStore:
    """The members of security groups (or of VXLAN networks), as last received: a file for each group, and what `read`
    makes of them in memory: of security groups, the elements of sets.

    Nothing is dropped while the agent runs: a message brings the groups before the port that needs them.
    """

    def __init__(self, root: Path, read: Callable[[Sequence[str]], Sequence[str]] = rules.members) -> None:
        self._root = root
        self._read = read
        self._told: dict[str, list[str]] = {}
        self._ranges: dict[str, tuple[str, ...]] = {}
        for path in sorted(root.glob("*.json")):
            values = _read(path)
            if values is not None:
                self._ranges[path.stem] = tuple(read(values["cidrs"]))

    def save(self, group_id: str, cidrs: Sequence[str]) -> None:
        """Remember a group's members; cheap when they are the same, as most messages repeat them."""
        told = list(cidrs)
        if self._told.get(group_id) == told:
            return
        ranges = tuple(self._read(told))
        replace_file(self._root / f"{group_id}.json", json.dumps({"cidrs": told}), durable=True)
        self._told[group_id], self._ranges[group_id] = told, ranges

    def ranges(self, group_ids: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """Return the members of groups as `read` gives them; none for an unknown group."""
        return {group_id: self._ranges.get(group_id, ()) for group_id in group_ids}

    def keep_only(self, group_ids: Collection[str]) -> None:
        """Forget all other groups."""
        for group_id in set(self._ranges).difference(group_ids):
            del self._ranges[group_id]
            self._told.pop(group_id, None)
        for path in self._root.glob("*.json"):
            if path.stem not in group_ids:
                path.unlink(missing_ok=True)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        values: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as failure:
        LOG.error("Network record %s cannot be read: %s", path, failure)
        return None
    return values


def _write(path: Path, values: dict[str, Any]) -> None:
    replace_file(path, json.dumps(values))


def replace_file(path: Path, text: str, *, durable: bool = False) -> bool:
    """Make `path` hold `text`, readable by the owner only; return whether that changed anything.

    Most files say what the kernel has and a process serves. A power cut ends both, and they are made again from the
    specs of servers (`restore`), so such a file need not be `durable`.
    """
    try:
        if path.read_text() == text:
            return False
    except FileNotFoundError:
        if not path.parent.is_dir():
            make_directory(path.parent, 0o700, durable=durable)
    except UnicodeDecodeError:  # a power cut may leave anything in what is not durable
        LOG.warning("%s held no text; it is written again", path)
    write_atomically(path, text.encode(), durable=durable)
    return True
