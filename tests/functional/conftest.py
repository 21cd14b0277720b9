"""A running cloud in this process, one a module: what a test breaks, it mends."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness.client import Client
from tests.harness.inprocess import Cloud


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


