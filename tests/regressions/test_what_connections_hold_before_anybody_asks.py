"""What clients without an account made the front hold or do, each a little, all together too much.

It held 128 KiB of image data that nobody had asked for and 256 KiB for a TLS connection that said nothing, and made a
few calls for each byte of a body in chunks of one.
"""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path
from typing import Any

import pytest
import requests

from api.front.protocol import Protocol
from hostler import clock, pki
from tests.harness import raw_http
from tests.harness.front import echo, serving

KIB, MIB = 1024, 1048576
PUT = (b"PUT /image/v2/images/x/file HTTP/1.1\r\nHost: c\r\nContent-Type: application/octet-stream\r\n"
       b"Content-Length: 1000000\r\n\r\n")


def test_image_data_stays_with_its_client_until_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given an upload that nobody has looked at, when its client sends all it can, then little of that is read."""
    came: list[int] = []
    take, asked = Protocol.on_body, threading.Event()

    def on_body(connection: Protocol, body: bytes) -> None:
        if connection.transfer:
            came.append(len(body))
        take(connection, body)

    def answer(environ: dict[str, Any]) -> tuple[str, list[bytes]]:
        if environ["REQUEST_METHOD"] == "PUT":
            assert asked.wait(60)
        return echo(environ)

    monkeypatch.setattr(Protocol, "on_body", on_body)
    with serving(answer) as url, raw_http.connect(url) as client:
        client.sendall(PUT + b"x" * 200 * KIB)
        for _ in range(3):  # what came before them has been read as far as it is going to be
            assert requests.get(url, timeout=30).text == "0"
        assert sum(came) <= 32 * KIB
        asked.set()
        client.sendall(b"x" * (1000000 - 200 * KIB))
        assert raw_http.status(client) == 200
        assert sum(came) == 1000000


def test_tiny_chunks_are_not_taken_without_end() -> None:
    """Given bodies of the same size, then one in chunks of one byte is refused, and one in pieces is taken."""
    with serving(echo) as url:
        for size, expected in ((1, {400, None}), (64, {200}), (1000, {200})):  # None: reset, as the rest is not read
            chunks = b"".join(b"%x\r\n%s\r\n" % (size, b"x" * size) for _ in range(20000 // size))
            with raw_http.connect(url) as client:
                with contextlib.suppress(ConnectionError):
                    client.sendall(b"POST / HTTP/1.1\r\nHost: c\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks
                                   + b"0\r\n\r\n")
                assert raw_http.status(client) in expected, size


def test_silent_tls_connections_take_little_memory(tmp_path: Path) -> None:
    """Given 240 connections that never begin a handshake, then they take no more than 30 MiB."""
    now = clock.utcnow()
    pki.init_authority(tmp_path / "ca", now)
    pki.issue(tmp_path / "ca", "api", ["127.0.0.1"], tmp_path / "api", now)
    with serving(echo, tls_certificate=tmp_path / "api" / "server-cert.pem",
                 tls_private_key=tmp_path / "api" / "server-key.pem") as url:
        https = url.replace("http:", "https:")
        assert requests.get(https, timeout=30, verify=False).text == "0"
        before = _rss()
        with raw_http.connections(url, 240):
            assert requests.get(https, timeout=30, verify=False).text == "0"
            assert _rss() - before < 30 * MIB


def _rss() -> int:
    return int(Path("/proc/self/status").read_text().split("VmRSS:")[1].split()[0]) * KIB
