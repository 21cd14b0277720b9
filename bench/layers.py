"""Where a verb's processor time goes: `python bench/layers.py [--count N] [--against COMMIT]`; needs py-spy.

A fleet on RabbitMQ and PostgreSQL with fake hosts, 16 clients. For each verb, processor milliseconds by process, and
for the api, the conductor and a scheduler apart by layer: each sample of a thread that holds the interpreter counts for
the layer that its innermost frame is in.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import measure

measure.use_checkout()

import clouds  # noqa: E402
import servers  # noqa: E402
import volumes  # noqa: E402

# By what a frame's file has in its path; the innermost frame that fits decides.
_LAYERS = {
    "SQL: building": ("sqlalchemy/sql",), "SQL: ORM": ("sqlalchemy/orm",), "SQL: execution": ("sqlalchemy",),
    "driver": ("psycopg", "hostler/db/silence"), "TaskFlow": ("taskflow", "automaton", "futurist"),
    "bus": ("oslo_messaging", "kombu", "amqp", "hostler/bus"), "HTTP": ("falcon", "uvicorn", "api/front", "asyncio"),
    "own": ("(conductor/", "(api/", "(scheduler/", "(compute/", "(volume/", "(hostler/")}
_OURS = ("api", "conductor", "scheduler")
_PER_SECOND = "100"


def layer_of(stack: str) -> str:
    """Return the layer of a sample: frames from the outermost to the innermost, parted by semicolons."""
    for frame in reversed(stack.split(";")):
        for layer, marks in _LAYERS.items():
            if any(mark in frame for mark in marks):
                return layer
    return "other"


@contextlib.contextmanager
def sampled(cloud: clouds.Measured, directory: Path) -> Iterator[dict[str, Counter[str]]]:
    """Sample our processes; when it ends, the result has the samples of each by layer."""
    found: dict[str, Counter[str]] = {}
    running = {}
    for name in filter(cloud.processes().__contains__, _OURS):
        running[name] = subprocess.Popen(
            ["py-spy", "record", "--gil", "--nonblocking", "--format", "raw", "--rate", _PER_SECOND, "--duration",
             "3600", "--output", str(directory / name), "--pid", str(cloud.processes()[name][0])],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield found
    finally:
        for name, process in running.items():
            process.send_signal(signal.SIGINT)
            process.wait()
            found[name] = Counter()
            for line in (directory / name).read_text().splitlines():
                stack, _, samples = line.rpartition(" ")
                found[name][layer_of(stack)] += int(samples)


def measured(cloud: clouds.Measured, verb: str, count: int, work: Callable[[int], object]) -> None:
    """Print what a verb spends by process and layer."""
    with tempfile.TemporaryDirectory(prefix="hostler-bench-") as made:
        with sampled(cloud, Path(made)) as found, cloud.meter.spending() as spent:
            measure.in_parallel(work, count, 16)
            cloud.settle()
        layers: Counter[str] = Counter()
        for name, samples in found.items():
            for layer, number in samples.items():
                layers[layer] += spent.by_process[name] / count * 1000 * number / samples.total()
        by_process = {name: round(seconds / count * 1000, 1) for name, seconds in spent.by_process.items()}
        measure.figure(f"layers/{verb}", spent.cpu_s / count * 1000, "CPU ms", by_process=by_process,
                       by_layer={layer: round(number, 1) for layer, number in layers.most_common()})


def run(name: str, count: int) -> None:
    """Measure each verb."""
    with clouds.CLOUDS[name]() as cloud:
        volumes.lift_quota(cloud)
        image, made, disks = cloud.client.make_image(), list[str](), list[str]()

        def create_volume(number: int) -> None:
            body = {"volume": {"size": 1, "name": f"bench-{number}"}}
            disks.append(cloud.own_client().post(f"{volumes.V3}/volumes", body).json()["volume"]["id"])

        verbs: dict[str, Callable[[int], object]] = {
            "create": lambda number: made.append(cloud.own_client().create_server(image, f"bench-{number}")),
            "show": lambda number: cloud.own_client().show(made[number]),
            "delete": lambda number: cloud.own_client().delete(f"/compute/v2.1/servers/{made[number]}"),
            "volume create": create_volume,
            "volume delete": lambda number: cloud.own_client().delete(f"{volumes.V3}/volumes/{disks[number]}")}
        for verb in verbs.values():  # warms caches
            measure.in_parallel(verb, 16, 16)
            cloud.settle()
        made.clear()
        disks.clear()
        for title, verb in verbs.items():
            measured(cloud, title, count, verb)
        servers.store_servers(cloud, 1000)
        measured(cloud, "page of 1,000", max(count // 4, 10), lambda _: cloud.own_client().get(
            "/compute/v2.1/servers/detail?limit=1000"))
        cloud.database.dispose()


if __name__ == "__main__":
    if "--cloud" not in sys.argv:
        sys.argv += ["--cloud", "fleet"]
    clouds.measure_each(__doc__, run)
