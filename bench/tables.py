"""The tables of bench/README.md: `python bench/tables.py --against COMMIT [--cloud NAME …] [--count N] [--turns N]`.

For each cloud, every verb's processor milliseconds, the latency of a create with one client, and memory after the load,
of that commit and of the present code in turns (old, new, old, new), as one table. Without `--against`, the figures of
the present code.
"""

from __future__ import annotations

import argparse
import datetime as dt
import statistics
import sys
import time
from collections.abc import Mapping, Sequence

import measure

measure.use_checkout()

import against  # noqa: E402
import clouds  # noqa: E402
import servers  # noqa: E402
import sqlalchemy as sa  # noqa: E402
import volumes  # noqa: E402

from hostler.db.models import Operation  # noqa: E402

# Rows of a table: what the figure is called, its heading, and the aim, which is for PostgreSQL.
_ROWS = (("create_to_active/{}/16_clients", "create", "35"), ("delete/{}/16_clients", "delete", "20"),
         ("show/{}/16_clients", "show", "2"), ("list_1000_detail/{}/1000_stored", "page of 1,000", "60"),
         ("volume_create/{}/16_clients", "volume create", "35"), ("volume_delete/{}/16_clients", "volume delete", "25"),
         ("accepted/{}", "create, one client: accepted, ms", "15"), ("active/{}", "ACTIVE, ms", "60"),
         ("memory/{}/all", "memory after load, MiB", "600; all-in-one 130"), ("memory/{}/host1", "an agent, MiB", "40"))


def latency(cloud: clouds.Measured, image: str, count: int) -> None:
    """Measure one create at a time, until it is accepted and until its operation has ended."""
    accepted, active = [], []
    for number in range(count):
        begun = time.time()
        server = cloud.client.create_server(image, f"alone-{number}")
        accepted.append(time.time() - begun)
        cloud.settle()
        with cloud.database.reading() as session:
            ended = session.scalars(sa.select(Operation.finished_at).where(
                Operation.resource_id == server, Operation.kind == "server.create")).one()
        assert ended is not None
        active.append(ended.replace(tzinfo=dt.UTC).timestamp() - begun)
    for name, found in (("accepted", accepted), ("active", active)):
        measure.figure(f"{name}/{cloud.name}", statistics.median(found) * 1000, "ms", count=count)


def run(name: str, count: int) -> None:
    """Print the figures of one cloud."""
    with clouds.CLOUDS[name]() as cloud:
        volumes.lift_quota(cloud)
        image = cloud.client.make_image()
        for number in (16, count):  # the first warms caches; its figures are printed, too, the next ones count
            servers.create_and_delete(cloud, image, number, 16)
            volumes.create_and_delete(cloud, number, 16)
        servers.show(cloud, image, 10 * count)
        latency(cloud, image, 20)
        servers.memory(cloud)
        servers.store_servers(cloud, 1000)
        servers.list_detail(cloud, 1000)
        cloud.database.dispose()


def table(cloud: str, found: Mapping[str, Mapping[str, Sequence[float]]]) -> str:
    """Return a cloud's table in Markdown, with every turn."""
    lines = [f"| {cloud} | old | new | ratio | aim | turns of old; of new |", "| --- | --- | --- | --- | --- | --- |"]
    for name, heading, aim in _ROWS:
        sides = found.get(name.format(cloud))
        if sides and all(sides.values()):
            old, new = (statistics.fmean(sides[side]) for side in ("old", "new"))
            turns = "; ".join(", ".join(f"{value:.3g}" for value in sides[side]) for side in ("old", "new"))
            lines.append(f"| {heading} | {old:.3g} | {new:.3g} | {new / old:.2f} | {aim} | {turns} |")
    return "\n".join(lines)


def main() -> None:
    """Measure the clouds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cloud", choices=[*clouds.CLOUDS], action="append")
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--against", metavar="COMMIT")
    options = parser.parse_args()
    for name in options.cloud or [*clouds.CLOUDS]:
        if not options.against:
            run(name, options.count)
            continue
        found = against.paired(options.against, [sys.argv[0], "--cloud", name, "--count", str(options.count)],
                               options.turns)
        print(table({"fleet": "fleet-postgresql"}.get(name, name), found), flush=True)


if __name__ == "__main__":
    main()
