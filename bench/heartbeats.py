"""What hosts' reports that say nothing new cost a conductor and its database: one by one, and together.

`python bench/heartbeats.py [--hosts 1000] [--rate 200 1000] [--seconds 10]`: so many reports a second on PostgreSQL,
CPU ms a report without the call on the bus (3.4 to 5 ms more), which is the same for both.
"""

from __future__ import annotations

import argparse
import itertools
import os
import threading
import time
from concurrent import futures
from typing import Any

import measure

measure.use_checkout()

from sqlalchemy import event  # noqa: E402

from conductor.heartbeat_batches import HeartbeatBatches  # noqa: E402
from conductor.heartbeats import record_heartbeat  # noqa: E402
from hostler import clock  # noqa: E402
from hostler.db.engine import Database  # noqa: E402
from hostler.db.models import Base  # noqa: E402
from tests.harness.backends import Postgres  # noqa: E402

_THREADS = 64  # `[bus] worker_threads`


def _report() -> dict[str, Any]:
    return {"started_at": clock.iso_micro(clock.utcnow()), "availability_zone": "nova", "hypervisor_type": "QEMU",
            "hypervisor_version": 7002000, "host_ip": "192.0.2.1", "cpu_info": {}, "vcpus": 8, "ram_mib": 16000,
            "disk_gib": 500, "uptime_s": 5, "healthy": True, "ratios": {"cpu": 4.0, "ram": 1.0, "disk": 1.0},
            "reserved": {"ram_mib": 512, "disk_gib": 1}}


def run(db: Database, server: Postgres, hosts: int, rate: int, seconds: int, *, together: bool) -> None:
    """Measure one rate."""
    batches = HeartbeatBatches(db) if together else None
    report, numbers, lock = _report(), itertools.count(), threading.Lock()
    sent: list[str] = []
    event.listen(db.engine, "before_cursor_execute", lambda *call: sent.append(call[2]))
    for number in [*range(hosts)] * 2:  # the first registers it, the second is the first that is remembered
        record_heartbeat(db, f"h{number}", report)
    meter = measure.Meter(lambda: {"conductor": [os.getpid()], "database": server.pids()})
    del sent[:]

    def send(begun: float) -> None:
        while True:
            with lock:
                number = next(numbers)
            if number >= rate * seconds:
                return
            time.sleep(max(0.0, begun + number / rate - time.monotonic()))
            record_heartbeat(db, f"h{number % hosts}", report, batches)

    with futures.ThreadPoolExecutor(_THREADS) as pool, meter.spending() as spent:
        list(pool.map(send, [time.monotonic()] * _THREADS))
        pool.shutdown()
    measure.rate(f"heartbeats/{rate}_a_second/{'together' if together else 'one_by_one'}", rate * seconds, spent,
                 statements=len(sent) / rate / seconds)


def main() -> None:
    """Measure each rate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", type=int, default=1000)
    parser.add_argument("--rate", type=int, nargs="+", default=[200, 1000])
    parser.add_argument("--seconds", type=int, default=10)
    options = parser.parse_args()
    server = Postgres()
    server.start()
    try:
        for rate in options.rate:
            for together in (False, True):
                db = Database(server.url)
                Base.metadata.drop_all(db.engine)
                Base.metadata.create_all(db.engine)
                run(db, server, options.hosts, rate, options.seconds, together=together)
                db.dispose()
    finally:
        server.stop()


if __name__ == "__main__":
    main()
