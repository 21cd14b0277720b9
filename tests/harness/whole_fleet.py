"""A real fleet with all that the product has: two zones with a host and a storage node each, consoles, encryption."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hostler import clock, pki
from tests.harness.ports import free_port
from tests.harness.realfleet import RealFleet
from tests.harness.volume_fleet import NODES, VolumeFleet

RELAY_PORT = 8790


class WholeFleet(VolumeFleet):
    """The fleet with a console proxy; guests have VNC and SPICE, and their disks travel between the hosts over TLS."""

    control = (*RealFleet.control, "console")

    def __init__(self, directory: Path) -> None:
        self.proxy_port = free_port()
        super().__init__(directory, nodes=len(NODES))

    def overrides(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Say where relays and proxy are, and where each finds its certificates."""
        found = super().overrides()
        for host in self.hosts:
            certificates = self.pki / host.name
            found[host.name]["compute"]["tls_dir"] = certificates
            found[host.name]["console"] = {"relay_host": host.address, "relay_port": RELAY_PORT,
                                           "tls_dir": certificates, "proxy_names": "proxy"}
            found[host.name]["libvirt"]["graphics"] = "vnc+spice"
        at = f"{self.fabric.address}:{self.proxy_port}"
        bases = {"novncproxy_base_url": f"http://{at}/vnc_lite.html", "serial_base_url": f"ws://{at}/",
                 "html5proxy_base_url": f"http://{at}/spice_auto.html"}
        found["api"]["console"] = bases
        found["console"] = {"console": {**bases, "novncproxy_host": self.fabric.address,
                                        "novncproxy_port": self.proxy_port, "tls_dir": self.pki / "proxy"}}
        return found

    def issue_certificates(self) -> None:
        """Issue those of agents and proxy, too, and those of a stranger whom no relay lets in."""
        super().issue_certificates()
        for name, addresses in [*((host.name, [host.address]) for host in self.hosts), ("proxy", []), ("stranger", [])]:
            pki.issue(self.pki / "ca", name, addresses, self.pki / name, clock.utcnow())
        for host in self.hosts:
            # Without a server's certificate libvirtd listens without TLS, as `live_migration_scheme` has it.
            for file in (host.libvirt_dir / "pki").glob("server-*"):
                file.unlink()
