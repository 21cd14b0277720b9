"""Fixtures of a cloud running in this process, one per module: a test repairs what it breaks.

For `tests/functional` and `tests/regressions`, which import them in their conftest.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness import chosen_database, databases
from tests.harness.client import Client
from tests.harness.identity_rest import IdentityApi, serving
from tests.harness.inprocess import Cloud
from tests.harness.network_core import make_cloud
from tests.harness.network_rest import Api


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cloud, Client]]:
    """The cloud and an administrator's client."""
    cloud = Cloud(tmp_path_factory.mktemp("cloud"), hosts=3, overrides={
        "quota.instances": 1000, "quota.cores": 1000, "quota.ram": 1000000, "quota.ports": 1000,
        "fake.vcpus": 200})
    client = cloud.start()
    try:
        yield cloud, client
    finally:
        cloud.stop()


@pytest.fixture(scope="module", params=["sqlite", *(pytest.param(kind, marks=pytest.mark.long)
                                                    for kind in databases.KINDS if kind != "sqlite")])
def database_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An empty database, one after the other of each kind the product supports; servers with the long tests."""
    if reason := databases.missing(request.param):
        pytest.skip(reason)
    with databases.running(request.param, tmp_path_factory.mktemp(request.param)) as url:
        yield url


@pytest.fixture(scope="module")
def cloud(running: tuple[Cloud, Client]) -> Cloud:
    """The cloud."""
    return running[0]


@pytest.fixture(scope="module")
def client(running: tuple[Cloud, Client]) -> Client:
    """An administrator's client."""
    return running[1]


@pytest.fixture(scope="module")
def image(client: Client) -> str:
    """A small raw image."""
    return client.make_image()


@pytest.fixture(scope="module")
def network_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """The Network API alone over an empty SQLite database: two projects, no agents, ready in a tenth of a second."""
    directory = tmp_path_factory.mktemp("network")
    rows = make_cloud(chosen_database.url_of(directory / "test.db"), directory)
    yield Api(rows)
    rows.db.dispose()


@pytest.fixture(scope="module")
def identity_api(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[IdentityApi]:
    """The identity API alone over each kind of database."""
    with serving(database_url, tmp_path_factory.mktemp("identity")) as api:
        yield api
