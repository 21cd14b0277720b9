"""The spec each server was last made from, kept beside its disk.

From it the agent restores networks, metadata and consoles after a restart without asking a conductor. A directory
without a readable spec still counts as a server, so that its files are found and removed.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from compute.layout import Layout
from hostler import errors, ids
from hostler.agent.files import write_atomically
from hostler.resources.server.specs import PortSpec, ServerSpec

LOG = logging.getLogger(__name__)
UNKNOWN = -1  # older than every revision


def merged(kept: ServerSpec | None, server: ServerSpec) -> ServerSpec:
    """Return `server` with what `kept` knows better: messages overtake each other (`hostler.resources.revisions`)."""
    if kept is None:
        return server
    newest = server if server.revision >= kept.revision else kept
    known = {port.id: port for port in kept.ports}
    return dataclasses.replace(
        server, name=newest.name, hostname=newest.hostname, metadata=newest.metadata, revision=newest.revision,
        encrypted_password=newest.encrypted_password,
        ports=tuple(newer(known.get(port.id), port) for port in server.ports))


def newer(kept: PortSpec | None, port: PortSpec) -> PortSpec:
    """Return `port`, or what is kept of it when that is newer."""
    return kept if kept is not None and kept.revision > port.revision else port


class SpecFiles:
    """Reads and writes `spec.json` of the servers on this host; nothing is kept in memory."""

    def __init__(self, layout: Layout, host: str = "") -> None:
        self._layout = layout
        self._host = host
        self._updates = threading.Lock()
        # Called with each spec before it is kept, and with None once it is gone.
        self.on_change: Callable[[str, ServerSpec | None], None] = lambda _server_id, _server: None

    def save(self, server: ServerSpec) -> ServerSpec:
        """Keep `server`, but for what is newer here already, and return that; makes its directory.

        The file holds secrets and is readable by the agent alone.
        """
        with self._updates:
            kept = self.load(server.id)
            server = merged(kept, server)
            self.on_change(server.id, server)
            self._layout.prepare_server(server.id)
            # A write that survives a power cut takes milliseconds; most calls bring what is kept already.
            if kept != server or not self._names_us(server.id):
                write_atomically(self._layout.owner(server.id), self._host.encode())
                write_atomically(self._layout.spec(server.id), json.dumps(server.to_wire()).encode())
        return server

    def refresh(self, server: ServerSpec) -> ServerSpec | None:
        """Keep what `server` says of itself, where it is newer; None when the server is not here (any more).

        Which volumes, ports and ISO it has, and whether it is rescued, is left: only its host knows that for sure
        unless the sender holds the server's lock. So is its password, which came with the boot alone.
        """
        sent = {port.id: port for port in server.ports}
        return self.update(server.id, lambda kept: dataclasses.replace(
            merged(kept, server), volumes=kept.volumes, rescue=kept.rescue, iso=kept.iso,
            admin_password=kept.admin_password,
            ports=tuple(newer(port, sent.get(port.id, port)) for port in kept.ports)))

    def revision_of(self, server_id: str) -> int:
        """Return the revision of the kept spec; of a server that is not here, none is known."""
        server = self.load(server_id)
        return server.revision if server is not None else UNKNOWN

    def update(self, server_id: str, change: Callable[[ServerSpec], ServerSpec]) -> ServerSpec | None:
        """Change a kept spec; None when the server is not here (any more): its directory is never recreated."""
        with self._updates:
            present = self.load(server_id)
            if present is None:
                return None
            changed = change(present)
            if changed.volumes:
                self.on_change(server_id, changed)
            try:
                if changed != present:
                    write_atomically(self._layout.spec(server_id), json.dumps(changed.to_wire()).encode())
            except FileNotFoundError:
                return None
            self.on_change(server_id, changed)
            return changed

    def load(self, server_id: str) -> ServerSpec | None:
        """Return the kept spec, or None when there is none that can be read."""
        return self._read(server_id, self._layout.spec(server_id))

    def asides(self) -> Iterator[ServerSpec]:
        """Yield the specs of servers that were set aside here for a move."""
        for path in self._layout.servers.glob("*.old/spec.json"):
            server = self._read(path.parent.stem, path)
            if server is not None:
                yield server

    @staticmethod
    def _read(server_id: str, path: Path) -> ServerSpec | None:
        try:
            return ServerSpec.from_wire(json.loads(path.read_bytes()))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError) as error:
            LOG.error("Spec of server %s cannot be read: %s", server_id, error)
            return None

    def require(self, server_id: str) -> ServerSpec:
        """Return the kept spec; raises NotFound."""
        server = self.load(server_id)
        if server is None:
            raise errors.NotFound(resource="server", id=server_id)
        return server

    def ids(self) -> list[str]:
        """Return the ids of all servers that have a directory here and, where others share it, are this host's."""
        try:
            found = sorted(entry.name for entry in self._layout.servers.iterdir() if ids.canonical(entry.name))
        except FileNotFoundError:
            return []
        return [server_id for server_id in found if self._is_ours(server_id)]

    def _is_ours(self, server_id: str) -> bool:
        """Return whether a server is this host's; one that names no host is not, lest it be removed by mistake."""
        return not self._layout.servers_are_shared() or self._names_us(server_id)

    def _names_us(self, server_id: str) -> bool:
        try:
            return self._layout.owner(server_id).read_text() == self._host
        except OSError:
            return False

    def all(self) -> Iterator[ServerSpec]:
        """Yield every readable spec."""
        for server_id in self.ids():
            server = self.load(server_id)
            if server is not None:
                yield server

    def ports_of(self, server_id: str) -> tuple[PortSpec, ...]:
        """Return the ports the server was last made with; none when nothing is known."""
        server = self.load(server_id)
        return server.ports if server is not None else ()

    def set_aside(self, server_id: str) -> None:
        """Give the server's directory the name under which it waits for the end of a move."""
        with self._updates:
            self._layout.server(server_id).rename(self._layout.aside(server_id))
            self.on_change(server_id, None)

    def aside_ids(self) -> list[str]:
        """Return the ids of the servers that were set aside here."""
        return sorted(path.stem for path in self._layout.servers.glob("*.old") if ids.canonical(path.stem))

    def discard_aside(self, server_id: str) -> None:
        """Remove what was set aside of a server; fine when nothing was."""
        if self._layout.aside(server_id).is_dir():
            shutil.rmtree(self._layout.aside(server_id))
            LOG.info("What was set aside of server %s is removed", server_id)

    def remove(self, server_id: str) -> None:
        """Remove the server's directory with everything in it; fine when there is none."""
        directory = self._layout.server(server_id)
        with self._updates:
            self.on_change(server_id, None)
            if not directory.exists() or not self._is_ours(server_id):
                return  # another host that shares the directory has taken the server over
            # The spec goes last: until the directory is empty the server must still be found by a reconciliation.
            for entry in directory.iterdir():
                if entry.name != "spec.json":
                    if entry.is_dir() and not entry.is_symlink():
                        shutil.rmtree(entry)
                    else:
                        entry.unlink(missing_ok=True)
            self._layout.spec(server_id).unlink(missing_ok=True)
            directory.rmdir()
