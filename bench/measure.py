"""How the benchmarks measure: wall time, CPU of all our processes with broker and database, and one JSON line a figure.

CPU time is net of what the cloud spends at rest, and normalised: multiplied by how much faster this machine, at that
moment, ran a loop than the one that all figures refer to. It holds on a noisy machine, where wall time says little.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent import futures
from pathlib import Path
from typing import Any

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
# Microseconds that a turn of `_turn_us` takes on the machine that figures are normalised to.
_REFERENCE_US = 0.145
_REST_S = 10.0

# Environment variable: the tree whose code is measured.
TREE = "HOSTLER_BENCH_TREE"

Processes = Mapping[str, Sequence[int]]


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
    """What a measured stretch took: processor seconds by process, net of those at rest, and normalised."""

    wall_s: float = 0.0
    by_process: dict[str, float] = dataclasses.field(default_factory=dict)

    @property
    def cpu_s(self) -> float:
        """Processor seconds of all processes."""
        return sum(self.by_process.values())


class Meter:
    """Measures stretches of what `processes` do."""

    def __init__(self, processes: Callable[[], Processes]) -> None:
        self._processes = processes
        self.at_rest: dict[str, float] = {}

    def rest(self, seconds: float = _REST_S) -> None:
        """Measure what the cloud spends while nobody asks anything of it."""
        before = self._now()
        time.sleep(seconds)
        self.at_rest = {name: (spent - before.get(name, 0)) / seconds for name, spent in self._now().items()}

    @contextlib.contextmanager
    def spending(self) -> Iterator[Spent]:
        """Measure a stretch of work."""
        spent = Spent()
        turn_us = _turn_us()
        before, started = self._now(), time.monotonic()
        yield spent
        spent.wall_s = time.monotonic() - started
        after = self._now()
        speed = _REFERENCE_US / ((turn_us + _turn_us()) / 2)
        spent.by_process = {name: (total - before.get(name, 0) - self.at_rest.get(name, 0) * spent.wall_s) * speed
                            for name, total in after.items()}

    def _now(self) -> dict[str, float]:
        return {name: cpu_s(pids) for name, pids in self._processes().items()}


def _turn_us(turns: int = 400_000) -> float:
    """Return the processor microseconds of one turn of a loop: the machine's speed, with what others do to it."""
    x, d = 0, dict.fromkeys(range(1024), 0)
    begun = time.process_time()
    for i in range(turns):
        x += i * i % 7
        d[i & 1023] = x
    return (time.process_time() - begun) / turns * 1e6


def speed() -> float:
    """Return by what this machine's processor seconds are multiplied, at this moment, to be those of figures."""
    return _REFERENCE_US / _turn_us()


def figure(name: str, value: float, unit: str, **more: Any) -> None:
    """Print one figure."""
    rounded = {key: round(number, 3) if isinstance(number, float) else number for key, number in more.items()}
    print(json.dumps({"name": name, "value": round(value, 3), "unit": unit, **rounded}), flush=True)


def rate(name: str, count: int, spent: Spent, latencies_s: Sequence[float] = (), **more: Any) -> None:
    """Print a rate with its CPU milliseconds an operation and the latency's median."""
    if latencies_s:
        more["p50_ms"] = statistics.median(latencies_s) * 1000
    by_process = {process: round(seconds / count * 1000, 2) for process, seconds in spent.by_process.items()}
    figure(name, count / spent.wall_s, "1/s", cpu_ms_per_op=spent.cpu_s / count * 1000, by_process=by_process,
           count=count, **more)


def in_parallel(work: Callable[[int], Any], count: int, clients: int) -> list[float]:
    """Run `work(number)` `count` times from `clients` threads; returns each one's seconds."""
    def timed(number: int) -> float:
        started = time.monotonic()
        work(number)
        return time.monotonic() - started

    with futures.ThreadPoolExecutor(clients) as pool:
        return list(pool.map(timed, range(count)))


def beside_another_commit() -> bool:
    """Return whether this is one of the turns of `against.py`, which leave out what takes long."""
    return TREE in os.environ


def use_checkout() -> None:
    """Let the benchmarks use the tests' harness, of the tree that `against.py` names or of their own."""
    sys.path.insert(0, os.environ.get(TREE) or str(Path(__file__).resolve().parent.parent))
