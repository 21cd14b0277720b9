"""A fleet on real hypervisors: control services here, two compute hosts in namespaces of their own.

`host1` reads images from the store's directory, as over NFS; `host2` does not see it and downloads them from the api.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tests.harness import backends, openstack_cli, realhost
from tests.harness.client import Client
from tests.harness.fleet import MAIN, Fleet
from tests.harness.realhost import Fabric, Host


def missing() -> str | None:
    """Return why no such fleet can be had here, or None."""
    return openstack_cli.missing() or realhost.missing() or backends.missing()


class RealFleet:
    """The fleet, its hosts, and clients."""

    def __init__(self, directory: Path, hosts: int = 2, nodes: int = 0) -> None:
        self.directory = directory
        self.fabric = Fabric()
        self.hosts = [Host(self.fabric, number, directory / f"machine{number}") for number in range(1, hosts + 1)]
        self.fleet = Fleet(directory / "fleet", hosts=hosts, nodes=nodes, address=self.fabric.address,
                           overrides=self.overrides())

    def overrides(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Return what the processes are configured with besides the fleet's defaults."""
        return {host.name: {"compute": {"driver": "libvirt", "my_ip": host.address, "reconcile_interval": 20},
                            "libvirt": {"virt_type": "qemu", "uri": host.uri, "call_timeout": 10,
                                        "live_migration_scheme": "tcp"}}
                for host in self.hosts}

    def start(self) -> Client:
        """Start everything; returns an administrator's client once all hosts are up."""
        self.fabric.start()
        self.fleet.prepare()
        for service in ("scheduler", "conductor", "api"):
            self.fleet.add(service, service)
        for host in self.hosts:
            self._boot(host)
        for node in self.fleet.nodes:
            self.fleet.add(node, "volume")
        return self.fleet.start()

    def power_cycle(self, host: Host) -> None:
        """Cut a host's power and let it come back, its agent, too."""
        host.stop()
        self.fleet.processes[host.name].wait(30)
        self._boot(host)
        self.fleet.processes[host.name].start()

    def _boot(self, host: Host) -> None:
        host.start()
        if host is not self.hosts[0]:
            host.hide(self.fleet.directory / "shared" / "images")
        self.fleet.add(host.name, "compute", [*host.launcher, sys.executable, "-c", MAIN.format(module="compute")],
                       {"NO_PROXY": self.fabric.address})

    def stop(self) -> None:
        """Stop everything, the hosts with their guests, too."""
        try:
            self.fleet.stop()
        finally:
            for host in self.hosts:
                host.stop()
            self.fabric.stop()

    def state(self, host: Host) -> Path:
        """Return the agent's directory on a host."""
        return self.fleet.directory / host.name / "compute"

    def openstack(self, *arguments: str) -> str:
        """Run the unmodified `openstack` client as the administrator; raises with its words when it fails."""
        done = openstack_cli.run(arguments, {
            "HOME": str(self.directory), "NO_PROXY": self.fabric.address, "OS_CLOUD": "hostler",
            "OS_CLIENT_CONFIG_FILE": str(self.fleet.directory / "clouds.yaml")}, cwd=self.directory)
        if done.returncode:
            raise RuntimeError(f"openstack {' '.join(arguments)}: {done.stderr[-2000:]}")
        return done.stdout

    def openstack_json(self, *arguments: str) -> Any:
        """Run `openstack … -f json`."""
        return json.loads(self.openstack(*arguments, "-f", "json"))

    def logs(self, tail: int = 3000) -> str:
        """Return the ends of all services' logs, for a failed test."""
        return "\n".join(f"--- {process.name}\n{process.log.read_text()[-tail:]}"
                         for process in self.fleet.processes.values() if process.log.exists())
