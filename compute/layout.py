"""Where the agent keeps things on its host; the one place that knows file names.

    <state_path>/compute/servers/<server id>/{spec.json,disk,console.log,…}
    <state_path>/compute/images/<sha256>
    <state_path>/compute/networks/<network id>/           (owned by compute.network)
    <state_path>/compute/groups/<security group id>.json  (owned by compute.network)
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from hostler.agent.files import make_private
from hostler.agent.passage import DHCP_USERS, QEMU_USERS, first_user, make_passage


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

    def snapshot(self, server_id: str, image_id: str) -> Path:
        """The copy of the server's disk that becomes an image."""
        return self.server(server_id) / f"snapshot.{image_id}"

    def snapshot_mark(self, copy: Path) -> Path:
        """What says that such a copy was begun, even when it is not there yet."""
        return copy.with_name(f"{copy.name}.begun")

    def snapshots(self, server_id: str) -> list[Path]:
        """All such copies and marks that are there."""
        return sorted(self.server(server_id).glob("snapshot.*"))

    def console_log(self, server_id: str) -> Path:
        """What the guest wrote to its serial console."""
        return self.server(server_id) / "console.log"

    def prepare(self) -> None:
        """Make the directories, and them and what is in them private, also what an earlier release left open."""
        make_passage(self.root, first_user(QEMU_USERS), first_user(DHCP_USERS))
        for directory in (self.servers, self.images):
            make_passage(directory, first_user(QEMU_USERS))
        for entry in self.servers.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                self.prepare_server(entry.name)
                make_private(entry)

    def prepare_server(self, server_id: str) -> None:
        """Make a server's directory; QEMU's user, to which libvirt gives a guest's files, may pass through it."""
        make_passage(self.server(server_id), first_user(QEMU_USERS))
