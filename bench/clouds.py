"""The two clouds that are measured, with fake hosts: the all-in-one, and processes on RabbitMQ + PostgreSQL."""

from __future__ import annotations

import argparse
import contextlib
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hostler.db.engine import Database
from tests.harness.allinone import AllInOne
from tests.harness.client import Client
from tests.harness.fleet import ADMIN_PASSWORD, Fleet

_local = threading.local()
BIG = {"vcpus": 100000, "ram_mib": 100000000, "disk_gib": 1000000}


@dataclass
class Measured:
    """A running cloud."""

    name: str
    client: Client
    pids: Callable[[], list[int]]
    database: Database
    processes: Callable[[], dict[str, int]]

    def own_client(self) -> Client:
        """Return this thread's client, which keeps its connection."""
        if getattr(_local, "url", None) != self.client.url:
            _local.client = Client(self.client.url, "admin", ADMIN_PASSWORD, "admin")
            _local.client.login()
            _local.url = self.client.url
        client: Client = _local.client
        return client

    def wait_until_none(self, path: str, every_s: float = 0.3) -> None:
        """Wait until a list is empty, asking seldom."""
        member = path.rpartition("/")[2].partition("?")[0]
        while self.client.get(path).json()[member]:
            time.sleep(every_s)


@contextlib.contextmanager
def all_in_one() -> Iterator[Measured]:
    """One process on SQLite and the in-memory bus."""
    with tempfile.TemporaryDirectory(prefix="hostler-bench-") as directory:
        cloud = AllInOne(Path(directory))
        cloud.prepare()
        try:
            yield Measured("all-in-one", cloud.start(), cloud.pids, cloud.database(),
                           lambda: {"all-in-one": cloud.pids()[0]})
        finally:
            cloud.stop()


@contextlib.contextmanager
def fleet(hosts: int = 2, nodes: int = 1) -> Iterator[Measured]:
    """Every service its own process."""
    with tempfile.TemporaryDirectory(prefix="hostler-bench-") as directory:
        Path(directory).chmod(0o755)
        cloud = Fleet(Path(directory), hosts=hosts, nodes=nodes, overrides={
            "compute": {"fake": BIG}, "all": {"DEFAULT": {"heartbeat_interval": 5, "service_down_time": 30},
                                              "conductor": {"lease_seconds": 15, "poll_interval": 1.0}}})
        try:
            cloud.prepare()
            client = cloud.start()

            def pids() -> list[int]:
                assert cloud.postgres is not None
                services = [process.pid for process in cloud.processes.values()]
                return [*services, *cloud.broker.pids(), *cloud.postgres.pids()]

            yield Measured("fleet", client, pids, cloud.database(),
                           lambda: {name: process.pid for name, process in cloud.processes.items()})
        finally:
            cloud.stop()


CLOUDS = {"all-in-one": all_in_one, "fleet": fleet}


def measure_each(description: str | None, run: Callable[[str, int], None]) -> None:
    """Run a benchmark on the clouds that the command line names; without names, on all."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--cloud", choices=[*CLOUDS], action="append")
    parser.add_argument("--count", type=int, default=200)
    options = parser.parse_args()
    for name in options.cloud or [*CLOUDS]:
        run(name, options.count)
