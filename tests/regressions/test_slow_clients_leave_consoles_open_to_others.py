"""One address without a token could hold all places of the console proxy, for hours, with a byte now and then."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from console import server as console_server
from console.handler import ConsoleHandler
from console.server import ProxyServer
from hostler import conf as hostler_conf
from tests.harness.ports import wait_for

PLACES = 16
HALF = b"GET /vnc_auto.html HTTP/1.1\r\nX: "


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[ProxyServer]:
    """A proxy with few places and much patience; there are no hosts and no database behind it."""
    monkeypatch.setattr(ConsoleHandler, "timeout", 300)
    monkeypatch.setattr(console_server, "_VISIT_S", 300, raising=False)
    absent: Any = None
    served = ProxyServer(hostler_conf.load([], config_files=[], overrides={
        "console.novncproxy_host": "127.0.0.1", "console.novncproxy_port": 0,
        "console.max_connections": PLACES}), absent, absent)
    thread = threading.Thread(target=lambda: served.serve_forever(0.05), daemon=True)
    thread.start()
    try:
        yield served
    finally:
        served.stop()
        thread.join(30)


def connect(proxy: ProxyServer, source: str, stack: contextlib.ExitStack) -> socket.socket:
    """Open a connection from an address of this machine, and begin a request."""
    client = stack.enter_context(contextlib.closing(socket.socket()))
    client.settimeout(30)
    client.bind((source, 0))
    client.connect(("127.0.0.1", proxy.port))
    with contextlib.suppress(OSError):  # refused already
        client.sendall(HALF)
    return client


def is_served(proxy: ProxyServer, source: str) -> bool:
    with contextlib.ExitStack() as stack:
        client = connect(proxy, source, stack)
        try:
            client.sendall(b"y\r\n\r\n")
            return client.recv(5) == b"HTTP/"
        except OSError:
            return False


def test_one_address_holds_few_places(proxy: ProxyServer) -> None:
    """Given one address that begins as many requests as there are places, then another is served."""
    with contextlib.ExitStack() as stack:
        for _ in range(PLACES):
            connect(proxy, "127.0.0.2", stack)
        assert is_served(proxy, "127.0.0.3")
        assert not is_served(proxy, "127.0.0.2")


def test_a_request_has_to_come_in_time(proxy: ProxyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a request that grows byte by byte, when its time is over, then its place is free."""
    with contextlib.ExitStack() as stack:
        clients = [connect(proxy, "127.0.0.2", stack) for _ in range(PLACES)]
        wait_for(lambda: not is_served(proxy, "127.0.0.2"), "the address's places being taken")
        monkeypatch.setattr(console_server, "_VISIT_S", 0)

        def trickle() -> bool:
            for client in clients:
                with contextlib.suppress(OSError):
                    client.sendall(b"x")
            return not proxy._visits

        wait_for(trickle, "the connections being ended")
