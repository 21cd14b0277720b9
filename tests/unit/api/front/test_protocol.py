"""One connection's limits: sizes, deadlines, the rate of uploads, requests sent ahead."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.harness import raw_http
from tests.harness.front import echo, serving

UPLOAD = b"PUT /image HTTP/1.1\r\nHost: c\r\nContent-Type: application/octet-stream\r\nContent-Length: 100000\r\n\r\n"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A server in a hurry."""
    with serving(echo, header_timeout=1, request_timeout=2, keep_alive_timeout=1, min_upload_rate=1000,
                 max_header_bytes=4096) as url:
        yield url


@pytest.mark.parametrize(("start", "status"), [
    (b"", None), (b"GET / HT", 408), (raw_http.HALF_HEAD, 408), (raw_http.HALF_BODY, 408), (UPLOAD, 408),
    (b"GET / HTTP/1.1\r\nHost: c\r\nX: " + b"x" * 4096 + b"\r\n\r\n", 431),
    (b"GET / HTTP/1.1\r\nHost: c\r\n" + b"X: x\r\n" * 101 + b"\r\n", 431), (b"rubbish\r\n\r\n", 400),
], ids=["silence", "half a line", "half a head", "half a body", "stalled upload", "header", "headers", "rubbish"])
def test_late_and_large_requests_end(url: str, start: bytes, status: int | None) -> None:
    with raw_http.connect(url) as client:
        client.sendall(start)
        assert raw_http.status(client, 10) == status
        client.settimeout(10)
        while client.recv(4096):
            pass


def test_a_head_may_not_trickle_in(url: str) -> None:
    """Given a client that sends a byte now and then, when the time is over, then it is ended all the same."""
    with raw_http.connect(url) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: ")
        started = time.monotonic()
        client.settimeout(0.1)
        answer = b""
        while not answer and time.monotonic() - started < 8:
            client.sendall(b"x")
            try:
                answer = client.recv(100)
            except TimeoutError:
                continue
        assert b" 408 " in answer


def test_an_upload_may_take_long_but_not_stall(url: str) -> None:
    """Given an upload faster than the least rate, when it takes longer than a request may, then it succeeds."""
    with raw_http.connect(url) as client:
        client.sendall(UPLOAD)
        for _ in range(10):
            client.sendall(b"x" * 10_000)
            time.sleep(0.35)
        assert raw_http.status(client, 10) == 200


def test_requests_sent_ahead_are_answered_in_order_up_to_a_number(url: str) -> None:
    ask = b"GET / HTTP/1.1\r\nHost: c\r\n\r\n"
    with raw_http.connect(url) as client:
        client.sendall(ask * 4)
        client.settimeout(5)
        seen = b""
        while seen.count(b"200 OK") < 4:
            seen += client.recv(65536)
    with raw_http.connect(url) as client:
        client.sendall(ask * 1000)
        client.settimeout(5)
        seen = b""
        while block := client.recv(65536):
            seen += block
        assert b"400 Bad Request" in seen
