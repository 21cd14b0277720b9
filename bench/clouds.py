"""The clouds that are measured, with fake hosts: the all-in-one on SQLite, and processes on RabbitMQ and a database."""

from __future__ import annotations

import argparse
import contextlib
import functools
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import against
import measure
import sqlalchemy as sa

from hostler.db.engine import Database
from hostler.db.models import Operation
from hostler.operations import states
from tests.harness.allinone import AllInOne
from tests.harness.backends import Postgres
from tests.harness.client import Client
from tests.harness.fleet import Fleet
from tests.harness.mariadb import MariaDB

_local = threading.local()
BIG = {"vcpus": 100000, "ram_mib": 100000000, "disk_gib": 1000000}


@dataclass
class Measured:
    """A running cloud."""

    name: str
    client: Client
    database: Database
    processes: Callable[[], measure.Processes]

    def __post_init__(self) -> None:
        self.meter = measure.Meter(self.processes)
        self.meter.rest()

    def own_client(self) -> Client:
        """Return this thread's client, which keeps its connection; all use one token, so that none logs in."""
        if getattr(_local, "url", None) != self.client.url:
            _local.client = Client(self.client.url, "", "", "")
            _local.client.token = self.client.token
            _local.client._session.headers.update(self.client._session.headers)
            _local.url = self.client.url
        client: Client = _local.client
        return client

    def settle(self) -> None:
        """Wait until every operation has ended; asks the database, where it costs no request."""
        unfinished = sa.select(Operation.id).where(Operation.state.in_(states.UNFINISHED)).limit(1)
        while True:
            with self.database.reading() as session:
                if session.scalar(unfinished) is None:
                    return
            time.sleep(0.1)


@contextlib.contextmanager
def all_in_one() -> Iterator[Measured]:
    """One process on SQLite and the in-memory bus."""
    with tempfile.TemporaryDirectory(prefix="hostler-bench-") as directory:
        cloud = AllInOne(Path(directory))
        cloud.prepare()
        try:
            yield Measured("all-in-one", cloud.start(), cloud.database(), lambda: {"all-in-one": cloud.pids()})
        finally:
            cloud.stop()


@contextlib.contextmanager
def fleet(kind: str = "postgresql", hosts: int = 2, nodes: int = 1) -> Iterator[Measured]:
    """Every service its own process, on RabbitMQ and a database of `kind`."""
    with tempfile.TemporaryDirectory(prefix="hostler-bench-") as directory:
        Path(directory).chmod(0o755)
        server = Postgres() if kind == "postgresql" else MariaDB(Path(directory) / kind)
        server.start()
        cloud = Fleet(Path(directory), hosts=hosts, nodes=nodes, database_url=server.url, overrides={
            "compute": {"fake": BIG}, "all": {"DEFAULT": {"heartbeat_interval": 5, "service_down_time": 30},
                                              "conductor": {"lease_seconds": 15, "poll_interval": 1.0}}})
        try:
            cloud.prepare()
            client = cloud.start()
            yield Measured(f"fleet-{kind}", client, cloud.database(), lambda: {
                **{name: [process.pid] for name, process in cloud.processes.items()},
                "broker": cloud.broker.pids(), "database": server.pids()})
        finally:
            cloud.stop()
            server.stop()


CLOUDS = {"all-in-one": all_in_one, "fleet": fleet, "fleet-mariadb": functools.partial(fleet, "mariadb")}


def measure_each(description: str | None, run: Callable[[str, int], None]) -> None:
    """Run a benchmark on the clouds that the command line names, without names on all; or beside another commit."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--cloud", choices=[*CLOUDS], action="append")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--against", metavar="COMMIT", help="measure this commit and the present code in turns")
    options = parser.parse_args()
    if options.against:
        clouds = [word for name in options.cloud or () for word in ("--cloud", name)]
        against.compare(options.against, [sys.argv[0], *clouds, "--count", str(options.count)])
        return
    for name in options.cloud or [*CLOUDS]:
        run(name, options.count)
