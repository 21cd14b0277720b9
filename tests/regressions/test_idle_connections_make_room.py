"""A program that left as many idle connections open as one address may have was refused every further one: a suite of
tests that makes a session for each could not log in any more."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from hostler import clock, pki
from tests.harness import raw_http
from tests.harness.front import echo, serving
from tests.harness.ports import wait_for

LIMIT = 10


@pytest.fixture(params=["http", "https"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A server that takes so many connections of one address."""
    options = {}
    if request.param == "https":
        now = clock.utcnow()
        pki.init_authority(tmp_path / "ca", now)
        pki.issue(tmp_path / "ca", "api", ["127.0.0.1"], tmp_path, now)
        options = {"tls_certificate": str(tmp_path / "server-cert.pem"),
                   "tls_private_key": str(tmp_path / "server-key.pem")}
    with serving(echo, connections_per_address=LIMIT, **options) as made:
        yield made.replace("http:", f"{request.param}:")


def test_the_longest_idle_connection_goes(url: str) -> None:
    """Given one address with all it may have, all idle, when it opens as many more, then all are served."""
    with contextlib.ExitStack() as stack:
        sessions = [stack.enter_context(requests.Session()) for _ in range(3 * LIMIT)]
        for session in sessions:
            assert session.get(url, verify=False, timeout=10).status_code == 200
        # Also those whose connection went: clients see that it is closed, and open another one.
        for session in sessions[:3]:
            assert session.get(url, verify=False, timeout=10).status_code == 200


def test_what_has_sent_a_part_of_its_next_request_is_not_idle(url: str) -> None:
    """Given a client that sent half of a request behind a whole one, when others need room, then it is answered."""
    if url.startswith("https:"):
        pytest.skip("the same protocol")
    ask = b"GET / HTTP/1.1\r\nHost: c\r\n\r\n"
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(raw_http.connect(url))
        first.sendall(ask + ask[:20])
        assert raw_http.status(first, 10) == 200
        first.recv(65536)
        for session in [stack.enter_context(requests.Session()) for _ in range(2 * LIMIT)]:
            assert session.get(url, timeout=10).status_code == 200
        first.sendall(ask[20:])
        assert raw_http.status(first, 10) == 200


def test_a_request_under_way_is_not_ended(url: str) -> None:
    """Given one address with all it may have, none idle, when it opens one more, then that one is closed."""
    plain = url.startswith("http:")
    with raw_http.connections(url, LIMIT, raw_http.HALF_HEAD if plain else b"") as busy:
        with raw_http.connect(url) as late:
            wait_for(lambda: not raw_http.is_open(late, wait_s=0.2), "the refusal", timeout_s=10)
        assert all(raw_http.is_open(one) for one in busy)
