"""Create to available, delete, list of 1,000: `python bench/volumes.py [--cloud all-in-one|fleet] [--count N]`."""

from __future__ import annotations

import statistics
import time
from datetime import timedelta
from typing import Any

import measure

measure.use_checkout()

import clouds  # noqa: E402
import sqlalchemy as sa  # noqa: E402

from hostler import clock, ids  # noqa: E402
from hostler.db.models import Backend, Project, Volume  # noqa: E402
from tests.harness.client import Client  # noqa: E402

V3 = "/volume/v3"


def wait_available(client: Client, volume_id: str) -> None:
    """Wait for one volume."""
    while (status := client.get(f"{V3}/volumes/{volume_id}").json()["volume"]["status"]) != "available":
        assert status == "creating", status
        time.sleep(0.02)


def create_and_delete(cloud: clouds.Measured, count: int, clients: int) -> None:
    """Measure `count` empty volumes from request to available, then from request to gone."""
    made: list[str] = []

    def create(number: int) -> None:
        client = cloud.own_client()
        answer = client.post(f"{V3}/volumes", {"volume": {"size": 1, "name": f"bench-{number}"}})
        assert answer.status_code == 202, answer.text
        made.append(answer.json()["volume"]["id"])
        if clients == 1:
            wait_available(client, made[-1])

    with cloud.meter.spending() as spent:
        latencies = measure.in_parallel(create, count, clients)
        cloud.settle()
    report(f"volume_create/{cloud.name}/{clients}_clients", count, spent, latencies)

    def delete(number: int) -> None:
        cloud.own_client().delete(f"{V3}/volumes/{made[number]}")

    with cloud.meter.spending() as spent:
        latencies = measure.in_parallel(delete, count, clients)
        cloud.settle()
    report(f"volume_delete/{cloud.name}/{clients}_clients", count, spent, latencies)


def report(name: str, count: int, spent: measure.Spent, latencies_s: list[float]) -> None:
    """Print a rate with the latency's 95th percentile; with one client the latency is that of the whole change."""
    p95_ms = statistics.quantiles(latencies_s, n=20)[-1] * 1000
    measure.rate(name, count, spent, latencies_s, p95_ms=p95_ms)


def store_volumes(cloud: clouds.Measured, count: int) -> None:
    """Write `count` volumes straight into the database."""
    def work(session: sa.orm.Session) -> None:
        project = session.scalars(sa.select(Project.id).where(Project.name == "admin")).one()
        backend = session.scalars(sa.select(Backend.id).limit(1)).one()
        start, rows = clock.utcnow() - timedelta(days=1), []
        for number in range(count):
            moment = start + timedelta(milliseconds=number)
            rows.append({"id": ids.new_id(), "name": f"stored-{number}", "project_id": project, "user_id": project,
                         "state": "available", "size_gib": 1, "claimed_gib": 1, "zone": "nova",
                         "backend_id": backend, "launched_at": moment, "created_at": moment, "updated_at": moment})
        session.execute(sa.insert(Volume), rows)

    cloud.database.write(work)


def list_detail(cloud: clouds.Measured, stored: int, repeats: int = 10) -> None:
    """Measure a page of 1,000 volumes in detail."""
    path = f"{V3}/volumes/detail?limit=1000"
    assert len(cloud.client.get(path).json()["volumes"]) == 1000
    with cloud.meter.spending() as spent:
        latencies = [measure.in_parallel(lambda _: cloud.client.get(path), 1, 1)[0] for _ in range(repeats)]
    measure.rate(f"volume_list_1000_detail/{cloud.name}/{stored}_stored", repeats, spent, latencies)


def lift_quota(cloud: clouds.Measured) -> None:
    """Let the project have what the measurement makes."""
    limits: dict[str, Any] = {"volumes": -1, "gigabytes": -1}
    cloud.client.request("PUT", f"{V3}/os-quota-sets/{cloud.client.project_id}",
                         json={"quota_set": limits}).raise_for_status()


def run(name: str, count: int) -> None:
    """Measure one cloud."""
    with clouds.CLOUDS[name]() as cloud:
        lift_quota(cloud)
        create_and_delete(cloud, 5, 1)  # warms caches; its figures are printed, too, the next ones count
        create_and_delete(cloud, max(count // 4, 10), 1)
        create_and_delete(cloud, count, 16)
        store_volumes(cloud, 1000)
        list_detail(cloud, 1000)
        if not measure.beside_another_commit():
            store_volumes(cloud, 19000)
            list_detail(cloud, 20000)
        cloud.database.dispose()


if __name__ == "__main__":
    clouds.measure_each(__doc__, run)
