"""A real fleet whose hosts have certificates: disks and running guests travel between them over TLS."""

from __future__ import annotations

from typing import Any

from hostler import clock, pki
from tests.harness.realfleet import RealFleet


class CertifiedFleet(RealFleet):
    """See above; libvirtd and the agents read the same certificates."""

    def overrides(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Issue each host's certificates, and name them."""
        options = super().overrides()
        pki.init_authority(self.directory / "authority", clock.utcnow())
        for host in self.hosts:
            out = host.libvirt_dir / "pki"
            pki.issue(self.directory / "authority", host.name, [host.address], out, clock.utcnow())
            options[host.name]["libvirt"]["live_migration_scheme"] = "tls"
            options[host.name]["compute"] |= {"tls_dir": str(out), "shutdown_timeout": 5}
        options["conductor"] = {**options.get("conductor", {}), "compute": {"shutdown_timeout": 5}}
        return options
