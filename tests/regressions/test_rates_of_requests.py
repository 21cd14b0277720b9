"""Anybody could send any number of requests; now a sender that uses up its rate is told when to come again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from tests.harness.client import Client
from tests.harness.inprocess import Cloud

BURST = 10
BODIES = {"/compute/v2.1/flavors": "overLimit", "/identity/v3/projects": "error",
          "/network/v2.0/networks": "NeutronError", "/volume/v3/volumes": "overLimit", "/image/v2/images": "message"}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cloud, Client]]:
    """A cloud that lets a user send a few requests only."""
    cloud = Cloud(tmp_path_factory.mktemp("cloud"), hosts=0, nodes=0, overrides={
        "api.user_rate": 1, "api.user_burst": BURST, "api.address_rate": 1, "api.address_burst": 10 * BURST})
    client = cloud.start()
    try:
        yield cloud, client
    finally:
        cloud.stop()


def _until_refused(client: Client, path: str) -> requests.Response:
    """Ask until the answer is 429: on a slow machine the bucket refills in between."""
    for _ in range(300):
        answer = client.get(path)
        if answer.status_code == 429:
            return answer
        assert answer.status_code == 200
    raise AssertionError("never refused")


def test_a_user_and_then_an_address_are_told_when_to_come_again(small: tuple[Cloud, Client]) -> None:
    cloud, client = small
    for path, name in BODIES.items():
        answer = _until_refused(client, path)
        assert name in answer.json(), answer.text
        assert 1 <= int(answer.headers["Retry-After"]) <= 5
    anonymous = Client(cloud.url, "", "", "")
    assert anonymous.get("/identity/v3").status_code == 200, "others are served"
    assert _until_refused(anonymous, "/identity/v3").headers["Retry-After"].isdecimal()
    assert anonymous.get("/healthcheck").status_code == 200
