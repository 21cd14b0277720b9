"""What the number of hosts costs a control plane: at rest and in each verb.

`python bench/growth.py [--hosts 10 1000] [--count 48]`: a fleet on RabbitMQ and PostgreSQL whose hosts are
`hostler-simulate`'s. For each number of hosts, a control plane's processor milliseconds a host and minute at rest, and
an operation's with 16 clients. What the simulated hosts spend themselves is left out. A thousand take minutes to start.
`--count 0` measures the rest alone; `--against COMMIT` that commit and the present code in turns.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import measure

measure.use_checkout()

import against  # noqa: E402
import clouds  # noqa: E402
import servers  # noqa: E402
import sqlalchemy as sa  # noqa: E402

from hostler.db.models import Host  # noqa: E402
from tests.harness.backends import Postgres  # noqa: E402
from tests.harness.fleet import MAIN, Fleet  # noqa: E402
from tests.harness.ports import wait_for  # noqa: E402

_REST_S = 60.0
_SETTLE_S = 45.0  # the first reconciliation of the hosts that came last is no rest
_PER_PROCESS = 100
_CALM = {"DEFAULT": {"heartbeat_interval": 30, "service_down_time": 120}, "bus": {"silence_timeout": 60},
         "conductor": {"lease_seconds": 15, "poll_interval": 1.0}, "fake": clouds.BIG,
         "oslo_messaging_rabbit": {"heartbeat_timeout_threshold": 60}}  # as it comes; tests want it shorter


@contextlib.contextmanager
def simulated(hosts: int) -> Iterator[clouds.Measured]:
    """A control plane with as many simulated hosts."""
    with tempfile.TemporaryDirectory(prefix="hostler-bench-") as directory, contextlib.ExitStack() as ends:
        Path(directory).chmod(0o755)
        database = Postgres()
        database.start()
        ends.callback(database.stop)
        cloud = Fleet(Path(directory), hosts=0, database_url=database.url, overrides={"all": _CALM})
        cloud.prepare()
        ends.callback(cloud.stop)
        client, records = cloud.start(), cloud.database()
        ends.callback(records.dispose)
        control = dict(cloud.processes)
        cloud.write_config("simulate", "simulate", host="simulate")
        cloud.add("simulate", "simulate", [sys.executable, "-c", MAIN.format(module="simulate"), "--hosts", str(hosts),
                                           "--processes", str(-(-hosts // _PER_PROCESS))]).start()
        registered = sa.select(sa.func.count()).select_from(Host)

        def all_there() -> bool:
            with records.reading() as session:
                return session.scalar(registered) == hosts

        wait_for(all_there, f"{hosts} hosts", timeout_s=60 + hosts, every_s=1)
        yield clouds.Measured(f"{hosts}_hosts", client, records, lambda: {
            **{name: [process.pid] for name, process in control.items()},
            "broker": cloud.broker.pids(), "database": database.pids()})


def run(hosts: int, count: int) -> None:
    """Measure one number of hosts."""
    with simulated(hosts) as cloud:
        time.sleep(_SETTLE_S)
        cloud.meter.rest(_REST_S)
        speed = measure.speed()
        at_rest = {name: round(spent * speed / hosts * 60_000, 3) for name, spent in cloud.meter.at_rest.items()}
        measure.figure(f"at_rest/{cloud.name}", sum(at_rest.values()), "CPU ms a host and minute", by_process=at_rest)
        if not count:
            return
        image = cloud.client.make_image()
        servers.create_and_delete(cloud, image, 16, 16)  # warms caches; its figures are printed, too
        servers.create_and_delete(cloud, image, count, 16)
        servers.show(cloud, image, 5 * count)


def main() -> None:
    """Measure each number of hosts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", type=int, nargs="+", default=[10, 1000])
    parser.add_argument("--count", type=int, default=48)
    parser.add_argument("--turns", type=int, default=2, help="of each commit with --against; default 2")
    parser.add_argument("--against", metavar="COMMIT")
    options = parser.parse_args()
    if options.against:
        hosts = [str(number) for number in options.hosts]
        against.compare(options.against, [sys.argv[0], "--hosts", *hosts, "--count", str(options.count)],
                        options.turns)
        return
    for hosts in options.hosts:
        run(hosts, options.count)


if __name__ == "__main__":
    main()
