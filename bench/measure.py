"""How the benchmarks measure: wall time, CPU of all our processes with broker and database, and one JSON line a figure.

CPU milliseconds are what holds on a noisy machine; wall time says what a user would see on this one.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from pathlib import Path
from typing import Any

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def cpu_s(pids: Sequence[int]) -> float:
    """Return the processor seconds that processes (and their reaped children) have used."""
    total = 0.0
    for pid in pids:
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += sum(int(value) for value in fields[11:15]) * _TICK_S
    return total


def pss_mib(pid: int) -> float:
    """Return a process's proportional set size."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0


@dataclasses.dataclass
class Spent:
    """What a measured stretch took."""

    wall_s: float = 0.0
    cpu_s: float = 0.0


@contextlib.contextmanager
def spending(pids: Callable[[], Sequence[int]]) -> Iterator[Spent]:
    """Measure a stretch of work done by `pids`."""
    spent = Spent()
    before, started = cpu_s(pids()), time.monotonic()
    yield spent
    spent.wall_s = time.monotonic() - started
    spent.cpu_s = cpu_s(pids()) - before


def figure(name: str, value: float, unit: str, **more: Any) -> None:
    """Print one figure."""
    rounded = {key: round(number, 3) if isinstance(number, float) else number for key, number in more.items()}
    print(json.dumps({"name": name, "value": round(value, 3), "unit": unit, **rounded}), flush=True)


def rate(name: str, count: int, spent: Spent, latencies_s: Sequence[float] = (), **more: Any) -> None:
    """Print a rate with its CPU milliseconds an operation and the latency's median."""
    if latencies_s:
        more["p50_ms"] = statistics.median(latencies_s) * 1000
    figure(name, count / spent.wall_s, "1/s", cpu_ms_per_op=spent.cpu_s / count * 1000, count=count, **more)


def in_parallel(work: Callable[[int], Any], count: int, clients: int) -> list[float]:
    """Run `work(number)` `count` times from `clients` threads; returns each one's seconds."""
    def timed(number: int) -> float:
        started = time.monotonic()
        work(number)
        return time.monotonic() - started

    with futures.ThreadPoolExecutor(clients) as pool:
        return list(pool.map(timed, range(count)))


def use_checkout() -> None:
    """Let the benchmarks use the tests' harness."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
