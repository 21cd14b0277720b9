"""One row held by a frozen process took the whole api down, health checks included: every worker waited for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
import sqlalchemy as sa

from hostler.db.engine import Database
from hostler.db.models import Project
from tests.harness.client import Client
from tests.harness.inprocess import Cloud

pytestmark = pytest.mark.long

THREADS = 2


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cloud, Client]]:
    """A cloud whose api has few workers and little patience with its database."""
    cloud = Cloud(tmp_path_factory.mktemp("cloud"), hosts=0, nodes=0, overrides={
        "api.threads": THREADS, "database.patience": 0.1, "database.lock_timeout": 1})
    client = cloud.start()
    try:
        yield cloud, client
    finally:
        cloud.stop()


def test_health_is_answered_and_requests_are_told_when_to_come_again(small: tuple[Cloud, Client]) -> None:
    cloud, client = small
    health = f"{cloud.url}/healthcheck"
    with _Frozen(Path(cloud.directory) / "cloud.db"), ThreadPoolExecutor(3 * THREADS) as pool:
        headers = {"X-Auth-Token": client._session.headers["X-Auth-Token"]}
        asked = [pool.submit(requests.post, f"{cloud.url}/network/v2.0/networks", headers=headers,
                             json={"network": {"name": f"n{number}"}}, timeout=60) for number in range(3 * THREADS)]
        took = []
        while not all(one.done() for one in asked[:THREADS]):
            started = time.monotonic()
            assert requests.get(health, timeout=30).status_code == 200
            took.append(time.monotonic() - started)
        answers = [one.result() for one in asked]
    assert took and max(took) < 1.0
    assert {answer.status_code for answer in answers} == {503}
    assert {answer.headers.get("Retry-After", "").isdigit() for answer in answers} == {True}
    assert client.post("/network/v2.0/networks", {"network": {"name": "later"}}).status_code == 201


def test_idle_connections_hold_no_worker(small: tuple[Cloud, Client]) -> None:
    cloud, client = small
    idle = [requests.Session() for _ in range(2 * THREADS)]
    for session in idle:
        assert session.get(f"{cloud.url}/healthcheck", timeout=10).ok
    started = time.monotonic()
    assert client.get("/network/v2.0/networks").ok
    assert time.monotonic() - started < 5
    for session in idle:
        assert session.get(f"{cloud.url}/healthcheck", timeout=10).ok, "a kept connection is served again"


class _Frozen:
    """A transaction that never ends, of a process that stopped within it."""

    def __init__(self, path: Path) -> None:
        self._db = Database(f"sqlite:///{path}")
        self._over = threading.Event()
        self._holds = threading.Event()
        self._thread = threading.Thread(target=self._hold, daemon=True)

    def _hold(self) -> None:
        with self._db.engine.begin() as connection:
            connection.execute(sa.update(Project).values(description="frozen"))
            self._holds.set()
            self._over.wait(60)
            connection.rollback()

    def __enter__(self) -> None:
        self._thread.start()
        assert self._holds.wait(10)

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._thread.join()
        self._db.dispose()
