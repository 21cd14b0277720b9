"""The cloud under attack: real processes that come back when they die, on a real broker and a real database.

Two api processes and two conductors, so that one can be disturbed while the other goes on, three fake hosts and two
storage nodes.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from hostler.db.engine import Database
from tests.harness import backends, mariadb
from tests.harness.client import Client
from tests.harness.fleet import ADMIN_PASSWORD, Fleet
from tests.harness.ports import free_port, wait_for

LAUNCHER = Path(__file__).parents[1] / "harness" / "crash_launcher.py"
CLOCK_VICTIM = "conductor2"
HOSTS, NODES = 3, 2
QUOTA = {"instances": 60, "cores": 60, "ram": 100_000, "ports": 200, "volumes": 40, "gigabytes": 400, "snapshots": 40,
         "backups": 40, "backup_gigabytes": 400}


class Server(Protocol):
    """A broker or a database that can be disturbed."""

    def start(self) -> None:
        """Start it, or start it again with what it had."""

    def stop(self) -> None:
        """Stop it at once."""

    def pids(self) -> list[int]:
        """Return its processes."""


class ChaosCloud:
    """The cloud that the faults disturb and the clients use."""

    def __init__(self, directory: Path, database: str) -> None:
        self.directory = directory
        self.database_server: Any = (backends.Postgres("chaos") if database == "postgresql"
                                     else mariadb.MariaDB(directory / "mariadb"))
        self.database_server.start()
        settings = {"DEFAULT": {"service_down_time": 8}, "identity": {"password_rounds": 4}, "quota": dict(QUOTA),
                    "compute": {"deletion_policy": "delay", "expunge_period": 36_000},
                    "conductor": {"agent_patience": 120}}
        self.fleet = Fleet(directory, hosts=HOSTS, nodes=NODES, database_url=self.database_server.url, overrides={
            "all": settings, "compute": {"compute": {"reconcile_interval": 5}},
            "volume": {"volume": {"reconcile_interval": 5}},
            # Each host has an address of its own, where others fetch disks.
            **{f"host{number}": {"compute": {"my_ip": f"127.0.1.{number}"}} for number in range(1, HOSTS + 1)}})
        self._ports = {"api": self.fleet.api_port, "api2": free_port()}
        self.clock_shift = directory / f"{CLOCK_VICTIM}.crash.clock"
        self.db: Database

    def start(self) -> None:
        """Start everything and wait until it is whole."""
        self.fleet.prepare()
        self.clock_shift.write_text("0")
        for name, service in self._services().items():
            if name not in (*self.fleet.hosts, *self.fleet.nodes) and name != service:
                self.fleet.overrides[name] = {"api": {"bind_port": self._ports["api2"]}} if service == "api" else {}
                # A machine of its own, as in a real fleet: its state directory is shared all the same.
                self.fleet.write_config(name, service, host="control")
            self.fleet.add(name, service, launcher=[
                sys.executable, str(LAUNCHER), service, str(self.directory / f"{name}.crash")])
        self.fleet.start()
        self.db = self.fleet.database()

    def _services(self) -> dict[str, str]:
        doubled = {f"{service}{number}": service for service in self.fleet.control for number in ("", 2)}
        return {**doubled, **dict.fromkeys(self.fleet.hosts, "compute"), **dict.fromkeys(self.fleet.nodes, "volume")}

    @property
    def victims(self) -> list[str]:
        """Return the names of all service processes."""
        return list(self.fleet.processes)

    def pids(self, name: str) -> list[int]:
        """Return the processes of a service's present life; empty while it has none."""
        return backends.children_of(self.fleet.processes[name].pid)

    def client(self, number: int) -> Client:
        """Return an administrator's client of one of the api processes, once it answers."""
        port = list(self._ports.values())[number % len(self._ports)]
        client = Client(f"http://127.0.0.1:{port}", "admin", ADMIN_PASSWORD, "admin")
        wait_for(client.try_login, "the api", timeout_s=60, every_s=0.2)
        return client

    def state_path(self, name: str) -> Path:
        """Return an agent's state directory."""
        return self.directory / name

    def stop(self) -> None:
        """Stop everything."""
        if hasattr(self, "db"):
            self.db.dispose()
        self.fleet.stop()
        self.database_server.stop()


@contextlib.contextmanager
def stopped(pids: list[int]) -> Iterator[None]:
    """Hold processes with SIGSTOP; those that have died are passed over."""
    _signal(pids, signal.SIGSTOP)
    try:
        yield
    finally:
        _signal(pids, signal.SIGCONT)


def kill(pids: list[int]) -> None:
    """kill -9."""
    _signal(pids, signal.SIGKILL)


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
