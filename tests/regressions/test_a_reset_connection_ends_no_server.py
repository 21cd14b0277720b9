"""A client that closed its connection in the moment in which it was refused for being late ended the api's HTTP server:
its kernel answered the refusal with a reset, after which the server's end could not be shut down.

The process lived on, and nobody was served any more.
"""

from __future__ import annotations

import socket
import time

import pytest
import requests

from api.front.protocol import Protocol
from tests.harness import raw_http
from tests.harness.front import echo, serving


def test_others_are_served(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given late clients that close their connections just before the server says so, then the server serves on."""
    clients: list[socket.socket] = []
    refuse = Protocol._refuse

    def refused(protocol: Protocol, status: int) -> None:
        for client in clients:
            client.close()
        time.sleep(0.05)  # on the server's own thread: it has not heard that they are closed
        refuse(protocol, status)

    with serving(echo, header_timeout=1, request_timeout=1, keep_alive_timeout=60) as url:
        monkeypatch.setattr(Protocol, "_refuse", refused)
        for _ in range(3):
            client = raw_http.connect(url)
            client.sendall(raw_http.HALF_HEAD)
            clients.append(client)
        with raw_http.connect(url) as late:
            late.sendall(raw_http.HALF_HEAD)
            assert raw_http.status(late, 10) == 408
        assert requests.get(url, timeout=10).status_code == 200


def test_a_fault_of_one_connection_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a connection whose deadline cannot be checked, then it is closed, and others are served."""
    sweep = Protocol.sweep

    def swept(protocol: Protocol, now: float) -> None:
        if protocol.url.endswith(b"/fault"):
            raise RuntimeError("a fault")
        sweep(protocol, now)

    with serving(echo, header_timeout=60, request_timeout=60) as url:
        monkeypatch.setattr(Protocol, "sweep", swept)
        with raw_http.connect(url) as client:
            client.sendall(b"POST /fault HTTP/1.1\r\nHost: c\r\nContent-Length: 10\r\n\r\n")
            assert raw_http.status(client, 10) is None
        assert requests.get(url, timeout=10).status_code == 200
