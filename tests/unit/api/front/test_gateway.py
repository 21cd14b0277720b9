"""Bodies and answers between the connection and the application."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from typing import Any

import requests

from tests.harness import raw_http
from tests.harness.front import echo, serving

MIB = 1048576
BYTES = {"Content-Type": "application/octet-stream"}


def _digest(environ: dict[str, Any]) -> tuple[str, list[bytes]]:
    digest, size = hashlib.sha256(), 0
    while block := environ["wsgi.input"].read(MIB):
        size = max(size, len(block))
        digest.update(block)
    assert size <= MIB
    return "200 OK", [digest.hexdigest().encode()]


def test_image_data_streams_whole_and_chunked() -> None:
    data = bytes(range(256)) * 4096 * 20
    blocks = (data[start:start + 100_000] for start in range(0, len(data), 100_000))
    with serving(_digest) as url:
        for body in (data, blocks):
            answer = requests.put(url, data=body, headers=BYTES, timeout=30)
            assert answer.text == hashlib.sha256(data).hexdigest()


def test_bodies_arrive_whole_up_to_the_limit() -> None:
    with serving(echo, max_body_bytes=100_000) as url:
        for size, seen in ((0, 0), (10, 10), (100_000, 100_000), (100_001, 0)):
            assert int(requests.post(url, data=b"x" * size, timeout=30).text) == seen
        chunked = requests.post(url, data=iter([b"x" * 50_000] * 10), timeout=30)
        assert 100_000 < int(chunked.text) < 500_000, "enough to see that it is too large"


def test_continue_is_said_when_the_body_is_wanted() -> None:
    head = (b"PUT / HTTP/1.1\r\nHost: c\r\nContent-Type: application/octet-stream\r\nContent-Length: 5\r\n"
            b"Expect: 100-continue")

    def refuse(_environ: dict[str, Any]) -> tuple[str, list[bytes]]:
        return "401 Unauthorized", [b""]

    for application, expected in ((echo, 100), (refuse, 401)):
        with serving(application) as url, raw_http.connect(url) as client:
            client.sendall(head + b"\r\n\r\n")
            assert raw_http.status(client, 10) == expected


def test_environ() -> None:
    seen: dict[str, Any] = {}

    def note(environ: dict[str, Any]) -> tuple[str, list[bytes]]:
        seen.clear()
        seen.update(environ)
        return "204 No Content", []

    forwarded = {"X-Forwarded-For": "192.0.2.7, 198.51.100.1", "X-Forwarded-Proto": "https", "X_Auth_Token": "forged"}
    with serving(note) as url:
        requests.get(f"{url}/a%2Fb%20c/%C3%A9?x=%2F", headers=forwarded, timeout=30)
    assert (seen["PATH_INFO"], seen["QUERY_STRING"]) == ("/a%2Fb c/\xc3\xa9", "x=%2F")
    assert (seen["REMOTE_ADDR"], seen["wsgi.url_scheme"]) == ("127.0.0.1", "http"), "a client is not believed"
    assert "HTTP_X_AUTH_TOKEN" not in seen
    with serving(note, trusted_proxies=["127.0.0.0/8", "198.51.100.1"]) as url:
        requests.get(url, headers=forwarded, timeout=30)
    assert (seen["REMOTE_ADDR"], seen["wsgi.url_scheme"]) == ("192.0.2.7", "https")


def test_an_answer_in_parts_is_made_while_it_is_read_and_closed_when_nobody_reads() -> None:
    """Given an answer without end, when its client goes, then it is not made any further, and it is closed."""
    closed = threading.Event()
    made = []

    class Endless:
        def __iter__(self) -> Iterator[bytes]:
            return self

        def __next__(self) -> bytes:
            made.append(1)
            return b"x" * 65536

        def close(self) -> None:
            closed.set()

    with serving(lambda _environ: ("200 OK", Endless())) as url:
        with raw_http.connect(url) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: c\r\n\r\n")
            assert len(client.recv(65536)) > 0
        assert closed.wait(10)
        assert len(made) < 1000


def test_requests_under_way_are_finished_at_the_end() -> None:
    begun, go_on = threading.Event(), threading.Event()
    answers: list[requests.Response] = []

    def slow(_environ: dict[str, Any]) -> tuple[str, list[bytes]]:
        begun.set()
        go_on.wait(10)
        return "200 OK", [b"done"]

    with serving(slow) as url:
        client = threading.Thread(target=lambda: answers.append(requests.get(url, timeout=30)))
        client.start()
        assert begun.wait(10)
        threading.Timer(0.5, go_on.set).start()
    client.join(10)
    assert [answer.text for answer in answers] == ["done"]
