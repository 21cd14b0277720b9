"""hostler-all-in-one as a process of its own, with the fake drivers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from hostler.db.engine import Database
from tests.harness.client import Client
from tests.harness.fleet import ADMIN_PASSWORD, QUOTA
from tests.harness.inprocess import FAKE_BACKEND
from tests.harness.ports import free_port, wait_for

_MAIN = "from hostler.cmd import {module}; import sys; sys.argv[0] = 'hostler'; {module}.main()"


class AllInOne:
    """One process with every service, on SQLite and the in-memory bus; with TLS when there is an `authority`."""

    def __init__(self, directory: Path, options: dict[str, dict[str, Any]] | None = None,
                 authority: Path | None = None) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.url = f"{'https' if authority else 'http'}://127.0.0.1:{self.port}"
        self._authority = authority
        self.config = directory / "hostler.conf"
        self.log = directory / "all-in-one.log"
        self._popen: subprocess.Popen[bytes] | None = None
        groups: dict[str, dict[str, Any]] = {
            "DEFAULT": {"host": "node1", "state_path": directory / "state", "heartbeat_interval": 1},
            "api": {"bind_host": "127.0.0.1", "bind_port": self.port, "public_url": self.url},
            "console": {"novncproxy_host": "127.0.0.1", "novncproxy_port": 0},
            "compute": {"driver": "fake"},
            "fake": {"vcpus": 100000, "ram_mib": 100000000, "disk_gib": 1000000},
            "quota": QUOTA,
            **FAKE_BACKEND,
        }
        for group, values in (options or {}).items():
            groups[group] = {**groups.get(group, {}), **values}
        self.config.write_text("".join(
            f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in values.items()) + "\n"
            for group, values in groups.items()))

    def manage(self, *arguments: str) -> None:
        """Run hostler-manage."""
        subprocess.run([sys.executable, "-W", "ignore", "-c", _MAIN.format(module="manage"), "--config-file",
                        str(self.config), *arguments], check=True, stdout=subprocess.DEVNULL)

    def prepare(self, network_cidr: str = "10.88.0.0/16") -> None:
        """Make schema and administrator."""
        self.manage("db", "upgrade")
        self.manage("bootstrap", "--admin-password", ADMIN_PASSWORD, "--public-url", self.url, "--out-dir",
                    str(self.directory), "--network-cidr", network_cidr)

    def start(self) -> Client:
        """Start it; returns an administrator's client once its host is up."""
        with self.log.open("ab") as log:
            self._popen = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-c", _MAIN.format(module="all_in_one"), "--config-file",
                 str(self.config)], stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        client = Client(self.url, "admin", ADMIN_PASSWORD, "admin", self._authority)
        wait_for(lambda: self._alive() and client.try_login(), "the api", timeout_s=180, every_s=0.02)
        wait_for(lambda: any(service["state"] == "up" for service in client.get(
            "/compute/v2.1/os-services?binary=nova-compute").json()["services"]), "the host", every_s=0.02)
        return client

    def _alive(self) -> bool:
        assert self._popen is not None
        if self._popen.poll() is not None:
            raise RuntimeError(f"the all-in-one ended: {self.log.read_text()[-3000:]}")
        return True

    def pids(self) -> list[int]:
        """Return its process."""
        assert self._popen is not None
        return [self._popen.pid]

    def database(self) -> Database:
        """Return its database."""
        return Database(f"sqlite:///{self.directory / 'state' / 'hostler.db'}")

    def stop(self) -> None:
        """Stop it."""
        if self._popen is not None:
            self._popen.terminate()
            try:
                self._popen.wait(40)
            except subprocess.TimeoutExpired:
                self._popen.kill()
