"""Scheduling decisions a second, alone and with the claim, at 1,000 and 10,000 hosts; one JSON line a figure.

`python bench/scheduling.py [--hosts 1000 10000] [--seconds 5] [--threads 1 16] [--url sqlite:///…]`. A database that is
named must be empty; without one a SQLite file in a temporary directory is used. (Not called scheduler.py: a script's
own directory comes first on the import path, and would hide the package.)
"""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
import time
from collections.abc import Callable, Iterator

import sqlalchemy as sa

from hostler import clock, conf, errors, ids
from hostler.db.engine import Database
from hostler.db.models import Aggregate, AggregateHost, Allocation, Base, Host, Zone
from scheduler.manager import SchedulerManager
from scheduler.plugins import load_selector
from scheduler.request import Request
from scheduler.service import build_manager
from scheduler.store import Store

ZONES = 3
TRAITS = ("HW_CPU_X86_AVX2", "HW_CPU_X86_AVX512F", "STORAGE_DISK_SSD")


def fill(db: Database, hosts: int) -> None:
    """Write zones, hosts of three sizes, and one aggregate over a tenth of them."""
    zone_ids = [ids.new_id() for _ in range(ZONES)]
    now = clock.utcnow()
    rows = [{"id": ids.new_id(), "name": f"host-{number}", "number": number, "zone_id": zone_ids[number % ZONES],
             "vcpus": 32 << (number % 3), "ram_mib": 131072 << (number % 3), "disk_gib": 2000, "cpu_ratio": 4.0,
             "traits": list(TRAITS[:number % 4]), "last_seen_at": now} for number in range(1, hosts + 1)]
    with db.engine.begin() as connection:
        connection.execute(sa.insert(Zone), [{"id": zone_id, "name": f"zone-{index}"}
                                             for index, zone_id in enumerate(zone_ids)])
        connection.execute(sa.insert(Host), rows)
        connection.execute(sa.insert(Aggregate), [{"id": 1, "name": "fast", "metadata": {"ssd": "true"}}])
        connection.execute(sa.insert(AggregateHost), [{"aggregate_id": 1, "host_id": row["id"]} for row in rows[::10]])


def requests() -> Iterator[Request]:
    """Yield requests of a few kinds, for ever."""
    number = 0
    while True:
        number += 1
        specs = {"aggregate_instance_extra_specs:ssd": "true"} if number % 10 == 0 else {}
        if number % 4 == 0:
            specs["trait:HW_CPU_X86_AVX2"] = "required"
        yield Request(consumer_id=ids.new_id(), vcpus=1 + number % 4, ram_mib=1024, disk_gib=10, extra_specs=specs,
                      zone=f"zone-{number % ZONES}" if number % 2 else None)


def keep_alive(db: Database, stop: threading.Event) -> None:
    """Report every host every five seconds, as a fleet would; its cost is not the scheduler's and stays small."""
    while not stop.wait(5):
        db.write(lambda session: session.execute(sa.update(Host).values(
            last_seen_at=clock.utcnow(), updated_at=Host.updated_at)))


def measure(name: str, threads: int, seconds: float, work: Callable[[Request], object]) -> None:
    """Run `work` on fresh requests in some threads and print decisions a second and CPU milliseconds of each."""
    until = time.monotonic() + seconds
    counts = [0] * threads

    def run(index: int) -> None:
        source = requests()
        while time.monotonic() < until:
            work(next(source))
            counts[index] += 1

    workers = [threading.Thread(target=run, args=(index,)) for index in range(threads)]
    started, cpu = time.monotonic(), time.process_time()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    elapsed, cpu = time.monotonic() - started, time.process_time() - cpu
    total = sum(counts)
    print(json.dumps({"name": name, "value": round(total / elapsed, 1), "unit": "1/s",
                      "cpu_ms_per_op": round(1000 * cpu / total, 3)}), flush=True)


def claim(manager: SchedulerManager, request: Request) -> None:
    """Choose and claim; a full cloud counts as a decision, too."""
    try:
        manager.choose(request)
    except errors.NoValidHost:
        return


def run(hosts: int, arguments: argparse.Namespace) -> None:
    """Measure one size of cloud."""
    with tempfile.TemporaryDirectory() as directory:
        overrides: dict[str, object] = {"state_path": directory}
        if arguments.url:
            overrides["database.connection"] = arguments.url
        options = conf.load([], config_files=[], overrides=overrides)
        db = Database.from_conf(options)
        Base.metadata.create_all(db.engine)
        fill(db, hosts)
        stop = threading.Event()
        alive = threading.Thread(target=keep_alive, args=(db, stop))
        alive.start()
        try:
            store, selector = Store(options, db), load_selector(options)
            manager = build_manager(options, db)
            for threads in arguments.threads:
                suffix = f"{hosts}_hosts_{threads}_threads"
                measure(f"scheduler_decisions_{suffix}", threads, arguments.seconds,
                        lambda request: selector.select(request, store.current()))
                measure(f"scheduler_claims_{suffix}", threads, arguments.seconds,
                        lambda request: claim(manager, request))
        finally:
            stop.set()
            alive.join()
            for table in (Allocation, AggregateHost, Aggregate, Host, Zone):
                db.write(lambda session, table=table: session.execute(sa.delete(table)))
            db.dispose()


def main() -> None:
    """Measure every size asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", type=int, nargs="+", default=[1000, 10000])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--url", default="")
    arguments = parser.parse_args()
    for hosts in arguments.hosts:
        run(hosts, arguments)


if __name__ == "__main__":
    main()
