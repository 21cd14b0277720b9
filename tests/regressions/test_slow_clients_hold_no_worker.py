"""Forty connections that sent half a request each stopped the API for everybody: each held a worker."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import requests

from tests.harness import raw_http
from tests.harness.inprocess import Cloud

CLIENTS = 40


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A cloud's control services."""
    cloud = Cloud(tmp_path_factory.mktemp("cloud"), hosts=0, nodes=0)
    cloud.start()
    try:
        yield cloud.url
    finally:
        cloud.stop()


@pytest.mark.parametrize("start", [raw_http.HALF_HEAD, raw_http.HALF_BODY], ids=["half a head", "half a body"])
def test_others_are_served_while_many_are_slow(url: str, start: bytes) -> None:
    """Given more slow clients than workers, when another one asks, then it is answered at once."""
    with raw_http.connections(url, CLIENTS, start) as slow:
        assert requests.get(f"{url}/identity/v3", timeout=5).status_code == 200
        assert all(raw_http.is_open(one) for one in slow)


def test_slow_readers_hold_no_worker(url: str) -> None:
    """Given clients that ask and never read, when another one asks, then it is answered at once."""
    ask = b"GET /identity/v3 HTTP/1.1\r\nHost: cloud\r\n\r\n"
    with raw_http.connections(url, CLIENTS, ask * 5):
        started = time.monotonic()
        assert requests.get(f"{url}/identity/v3", timeout=5).status_code == 200
        assert time.monotonic() - started < 5
