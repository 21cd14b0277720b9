"""A real fleet with two zones, each with a host and a storage node; volumes travel encrypted where a host sees no file.

`host1` has the directory of `node1`'s back end, as over NFS; `host2` sees neither node's.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from hostler import clock, pki
from tests.harness.client import Client
from tests.harness.realfleet import RealFleet
from tests.harness.realhost import Host

NODES = ("node1", "node2")
ZONES = {"host1": "az1", "host2": "az2", "node1": "az1", "node2": "az2"}


class VolumeFleet(RealFleet):
    """The fleet with its storage nodes, which run on the test's side of the fabric."""

    def overrides(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Return zones, addresses, certificates and shares of hosts and nodes."""
        found = super().overrides()
        for host in self.hosts:
            found[host.name]["compute"].update(availability_zone=ZONES[host.name], nbd_tls=True)
        found["host1"]["compute"]["volume_shares"] = self.back_end("node1")
        for node in NODES:
            found[node] = {
                "volume": {"availability_zone": ZONES[node], "my_ip": self.fabric.address, "enabled_backends": "local",
                           "tls_dir": self.pki / node, "reconcile_interval": 5},
                "backend:local": {"driver": "file", "directory": self.back_end(node)}}
        for service in ("api", "conductor"):
            found[service] = {"volume": {"default_availability_zone": "az1", "detach_timeout": 30}}
        return found

    @property
    def pki(self) -> Path:
        """The authority's directory and those of the machines' certificates."""
        return self.directory / "pki"

    def back_end(self, node: str) -> Path:
        """Return the directory of a node's back end."""
        return self.directory / "storage" / node

    def start(self) -> Client:
        """Make certificates, start everything."""
        for node in NODES:
            self.back_end(node).mkdir(parents=True)
        self.issue_certificates()
        return super().start()

    def issue_certificates(self) -> None:
        """Make the authority, and a directory for each node and each host."""
        now = clock.utcnow()
        pki.init_authority(self.pki / "ca", now)
        for name, out in [*((node, self.pki / node) for node in NODES),
                          *((host.name, host.libvirt_dir / "pki") for host in self.hosts)]:
            pki.issue(self.pki / "ca", name, [self.fabric.address], out, now)

    def _join(self, host: Host) -> None:
        super()._join(host)
        if host.name == "host2":
            host.hide(self.directory / "storage")

    def stop(self) -> None:
        """Stop everything, exports too: they outlive their agents, on purpose."""
        super().stop()
        end_exports(self.directory / "storage")

    def volume_files(self, node: str) -> list[str]:
        """Return what lies in a node's back end besides the mark of the share."""
        return sorted(path.name for path in self.back_end(node).rglob("*")
                      if path.is_file() and not path.name.startswith(".hostler-"))

    def exports(self) -> list[str]:
        """Return the command lines of the programs that export the nodes' volumes."""
        return list(find_exports(self.directory / "storage").values())


def end_exports(directory: Path) -> None:
    """End all exports of files below a directory."""
    for pid in find_exports(directory):
        os.kill(pid, signal.SIGKILL)


def find_exports(directory: Path) -> dict[int, str]:
    """Return the command lines of the programs that export files below a directory, by process."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if line.startswith("qemu-nbd ") and str(directory) in line:
            found[int(path.parent.name)] = line
    return found
