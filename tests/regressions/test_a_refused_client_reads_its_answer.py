"""A client that was refused while it still sent its request was reset, often before it had read the answer."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from api.front import protocol
from hostler import clock, pki
from tests.harness import raw_http
from tests.harness.front import serving
from tests.harness.ports import wait_for

MIB = 1048576
LARGE = 4 * MIB  # more than the sockets' buffers hold, and than the server reads of it


def refuse(_environ: dict[str, Any]) -> tuple[str, list[bytes]]:
    """Answer before anything of the body is read."""
    return "413 Content Too Large", [b"too large"]


REFUSALS = {
    "by the application, which closes": (
        b"POST / HTTP/1.1\r\nHost: c\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % LARGE, 413, b"too large"),
    "image data": (
        b"PUT /x HTTP/1.1\r\nHost: c\r\nConnection: close\r\nContent-Type: application/octet-stream\r\n"
        b"Content-Length: %d\r\n\r\n" % LARGE, 413, b"too large"),
    "a head": (b"GET / HTTP/1.1\r\nHost: c\r\nX: ", 431, b"The request's line and headers are too large."),
    "rubbish": (b"rubbish\r\n\r\n", 400, b"Invalid HTTP request."),
}


def ask(client: socket.socket, head: bytes) -> bytes:
    """Send all of a large request, and only then read the answer, to its end."""
    client.settimeout(60)
    client.sendall(head + b"x" * LARGE)
    answer = b""
    while b"\r\n\r\n" not in answer or len(answer.partition(b"\r\n\r\n")[2]) < _length(answer):
        block = client.recv(65536)
        assert block, f"ended after {answer!r}"
        answer += block
    return answer


def _length(answer: bytes) -> int:
    return int(answer.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])


@pytest.fixture(scope="module", params=["http", "https"])
def connect(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[
        Callable[[], socket.socket]]:
    """A function that connects to a server."""
    options: dict[str, Any] = {}
    if request.param == "https":
        home, now = tmp_path_factory.mktemp("tls"), clock.utcnow()
        pki.init_authority(home / "ca", now)
        pki.issue(home / "ca", "api", ["127.0.0.1"], home / "api", now)
        options = {"tls_certificate": Path(home / "api" / "server-cert.pem"),
                   "tls_private_key": Path(home / "api" / "server-key.pem")}
    with serving(refuse, **options) as url:
        def connected() -> socket.socket:
            plain = raw_http.connect(url)
            if not options:
                return plain
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            return context.wrap_socket(plain)

        yield connected


@pytest.mark.parametrize("name", REFUSALS)
def test_the_answer_is_read_whole(connect: Callable[[], socket.socket], name: str) -> None:
    """Given a client that reads nothing before it has sent everything, when it is refused early, then it is told so."""
    head, status, text = REFUSALS[name]
    with connect() as client:
        answer = ask(client, head)
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert answer.endswith(b"\r\n\r\n" + text)


def test_nobody_sends_on_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a refused client, when it goes on, then it is cut off after some time, and after so many bytes."""
    monkeypatch.setattr(protocol, "_LINGER_BYTES", MIB, raising=False)
    with serving(refuse) as url:
        with raw_http.connect(url) as client:
            client.sendall(b"rubbish\r\n\r\n")
            assert raw_http.status(client) == 400
            with pytest.raises(ConnectionError):
                client.sendall(b"x" * 64 * MIB)
        with raw_http.connect(url) as client:
            client.sendall(b"rubbish\r\n\r\n")
            assert raw_http.status(client) == 400
            wait_for(lambda: _is_reset(client), "the end of its patience", timeout_s=30)


def _is_reset(client: socket.socket) -> bool:
    try:
        client.sendall(b"x")
    except ConnectionError:
        return True
    return False


def test_an_answer_nobody_reads_ends_though_the_connection_is_to_close() -> None:
    """Given a large answer that closes the connection, when its client does not read, then the connection ends."""
    done = threading.Event()

    def large(_environ: dict[str, Any]) -> tuple[str, list[bytes]]:
        done.set()
        return "200 OK", [b"x" * 32 * MIB]

    with serving(large, request_timeout=2) as url, raw_http.connect(url) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: c\r\nConnection: close\r\n\r\n")
        assert done.wait(30)
        wait_for(lambda: _is_reset(client), "the end of its patience", timeout_s=30)
