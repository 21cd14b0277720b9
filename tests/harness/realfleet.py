"""A fleet on real hypervisors: control services here, two compute hosts in namespaces of their own.

`host1` reads images from the store's directory, as over NFS; `host2` does not see it and downloads them from the api.
"""

from __future__ import annotations

import contextlib
import copy
import json
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from hostler import clock
from tests.harness import backends, openstack_cli, realhost
from tests.harness.client import Client
from tests.harness.fleet import MAIN, Fleet
from tests.harness.realhost import Fabric, Host


def missing() -> str | None:
    """Return why no such fleet can be had here, or None."""
    return openstack_cli.missing() or realhost.missing() or backends.missing()


class RealFleet:
    """The fleet, its hosts, and clients."""

    control: tuple[str, ...] = ("conductor", "api")  # the services on the test's side of the fabric

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
        with ThreadPoolExecutor(1) as pool:
            prepared = pool.submit(self.fleet.prepare)
            for host in self.hosts:
                host.start()  # by this thread: what is on a host ends with the thread that started it
            prepared.result()
        for service in self.control:
            self.fleet.write_config(service, service, host="control")
            self.fleet.add(service, service)
        for host in self.hosts:
            self._join(host)
        for node in self.fleet.nodes:
            self.fleet.add(node, "volume")
        return self.fleet.start()

    def power_cycle(self, host: Host) -> None:
        """Cut a host's power and let it come back, its agent, too."""
        host.stop()
        self.fleet.processes[host.name].wait(30)
        host.start()
        self._join(host)
        self.fleet.processes[host.name].start()

    @contextlib.contextmanager
    def reconfigured(self, overrides: Mapping[str, dict[str, dict[str, Any]]]) -> Iterator[None]:
        """Run some processes with other options for a while; each is restarted twice."""
        before = copy.deepcopy(self.fleet.overrides)
        try:
            for name, groups in overrides.items():
                for group, options in groups.items():
                    self.fleet.overrides.setdefault(name, {}).setdefault(group, {}).update(options)
            self.restart(*overrides)
            yield
        finally:
            self.fleet.overrides = before
            self.restart(*overrides)

    def restart(self, *names: str) -> None:
        """Stop processes in order and start them with what is configured now; returns when they serve."""
        processes = [self.fleet.processes[name] for name in names]
        for process in processes:
            process.ask_to_stop()
        for process in processes:
            process.stop()
        stopped_at = clock.utcnow()
        for process in processes:
            host = process.name if process.name in (*self.fleet.hosts, *self.fleet.nodes) else "control"
            self.fleet.write_config(process.name, process.service, host=host)
            process.start()
        self.fleet.client()
        self.fleet.wait_reports(set(names) & set(self.fleet.hosts), stopped_at)

    def _join(self, host: Host) -> None:
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
