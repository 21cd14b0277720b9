"""Where the agent keeps things on its host; the one place that knows file names.

    <state_path>/compute/servers/<server id>/{spec.json,owner,disk,console.log,…}
    <state_path>/compute/servers/.hosts/{identity,|<host>}   (which directory this is, and who uses it)
    <state_path>/compute/images/<sha256>
    <state_path>/compute/networks/<network id>/           (owned by compute.network)
    <state_path>/compute/groups/<security group id>.json  (owned by compute.network)
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path

from hostler import ids
from hostler.agent.files import make_directory, make_private, write_new
from hostler.agent.passage import DHCP_USERS, QEMU_USERS, first_user, make_passage

_HOSTS = ".hosts"
_IDENTITY = "identity,"  # no host has a comma in its name


@dataclasses.dataclass(frozen=True)
class Layout:
    """Paths under one agent's state directory."""

    state_path: Path

    @property
    def root(self) -> Path:
        """The agent's own directory."""
        return self.state_path / "compute"

    @property
    def servers(self) -> Path:
        """One directory per server."""
        return self.root / "servers"

    @property
    def images(self) -> Path:
        """The image cache."""
        return self.root / "images"

    @property
    def volumes(self) -> Path:
        """Directories of this node's own file back ends, where there are any: one per back end."""
        return self.state_path / "volumes"

    @property
    def fence(self) -> Path:
        """Journal of the attempts seen, see `hostler.agent.fencing`."""
        return self.root / "attempts.log"

    @property
    def reports(self) -> Path:
        """Where the numbers of reports go on, see `hostler.agent.sequence`."""
        return self.root / "reports"

    def servers_share(self) -> str:
        """Return the identity of the directory of servers: hosts that report the same one share it."""
        mark = self.servers / _HOSTS / _IDENTITY
        with contextlib.suppress(FileExistsError):
            write_new(mark, f"{ids.new_id()}\n".encode())
        return mark.read_text().strip()

    def claim_servers(self, host: str) -> None:
        """Note in the directory of servers that this host uses it."""
        hosts = self.servers / _HOSTS
        make_directory(hosts, 0o700)
        (hosts / host).touch()

    def servers_are_shared(self) -> bool:
        """Return whether more than one host uses the directory of servers."""
        try:
            return len(set(os.listdir(self.servers / _HOSTS)) - {_IDENTITY}) > 1
        except FileNotFoundError:
            return False

    def server(self, server_id: str) -> Path:
        """Directory of one server."""
        return self.servers / server_id

    def spec(self, server_id: str) -> Path:
        """What the server was last made from."""
        return self.server(server_id) / "spec.json"

    def disk(self, server_id: str, name: str = "disk") -> Path:
        """A disk file of the server: `disk` (root), `disk.eph0`, `disk.swap`, `disk.config`, `disk.rescue`."""
        return self.server(server_id) / name

    def unrescue(self, server_id: str) -> Path:
        """The guest's definition from before it was rescued."""
        return self.server(server_id) / "unrescue.xml"

    def own_disks(self, server_id: str) -> list[Path]:
        """All disk files that are there: the server's, but no volume's."""
        return sorted(self.server(server_id).glob("disk*"))

    def all_disks(self) -> Iterator[Path]:
        """All disk files of all servers, also of those on their way from here or to here."""
        return self.servers.glob("*/disk*")

    def rebuild_mark(self, server_id: str) -> Path:
        """What names the operation for which the server's disks were last removed."""
        return self.server(server_id) / "rebuilt"

    def unverified_mark(self, server_id: str) -> Path:
        """What says that a guest on its way here is paused until its disks were compared; holds its power state."""
        return self.server(server_id) / "unverified"

    def snapshot(self, server_id: str, image_id: str) -> Path:
        """The copy of the server's disk that becomes an image."""
        return self.server(server_id) / f"snapshot.{image_id}"

    def snapshot_mark(self, copy: Path) -> Path:
        """What says that such a copy was begun, even when it is not there yet."""
        return copy.with_name(f"{copy.name}.begun")

    def snapshots(self, server_id: str) -> list[Path]:
        """All such copies and marks that are there."""
        return sorted(self.server(server_id).glob("snapshot.*"))

    def owner(self, server_id: str) -> Path:
        """Names the host that has the server, where several share the directory."""
        return self.server(server_id) / "owner"

    def console_log(self, server_id: str) -> Path:
        """What the guest wrote to its serial console."""
        return self.server(server_id) / "console.log"

    @property
    def console_key(self) -> Path:
        """The key that signs what is granted to console proxies."""
        return self.root / "console-key"

    def aside(self, server_id: str) -> Path:
        """What a server that moved away left, until its move is confirmed or reverted."""
        return self.servers / f"{server_id}.old"

    def incoming(self, server_id: str) -> Path:
        """What came so far of a server that moves here."""
        return self.servers / f"{server_id}.new"

    def prepare(self) -> None:
        """Make the directories, and them and what is in them private, also what an earlier release left open."""
        make_passage(self.root, first_user(QEMU_USERS), first_user(DHCP_USERS))
        for directory in (self.servers, self.images):
            make_passage(directory, first_user(QEMU_USERS))
        for entry in self.servers.iterdir():
            if entry.is_dir() and not entry.is_symlink() and ids.canonical(entry.name):
                self.prepare_server(entry.name)
                make_private(entry)

    def prepare_server(self, server_id: str) -> None:
        """Make a server's directory; QEMU's user, to which libvirt gives a guest's files, may pass through it."""
        self.prepare_passage(self.server(server_id))

    def prepare_passage(self, directory: Path) -> None:
        """Make a private directory through which QEMU's user may pass."""
        make_passage(directory, first_user(QEMU_USERS))
