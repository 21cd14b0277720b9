"""Each connection kept to its limits, but those of many addresses together could take any memory."""

from __future__ import annotations

import contextlib
import socket

import pytest
import requests

from api.front import protocol
from tests.harness import raw_http
from tests.harness.front import echo, serving
from tests.harness.ports import wait_for

KIB = 1024
HEAD = b"GET / HTTP/1.1\r\nHost: c\r\nX: " + b"x" * 20 * KIB
BODY = b"POST / HTTP/1.1\r\nHost: c\r\nContent-Length: 100000\r\n\r\n" + b"x" * 20 * KIB


def was_refused(client: socket.socket) -> bool:
    """Return whether the connection got the answer, or was reset, as it is when not all that was sent is read."""
    client.settimeout(0.01)
    try:
        return b" 503 " in client.recv(100, socket.MSG_PEEK)
    except TimeoutError:
        return False
    except ConnectionError:
        return True


@pytest.mark.parametrize("start", [HEAD, BODY], ids=["heads", "bodies"])
def test_the_largest_are_refused_and_the_rest_is_served(start: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given 100 KiB for all, when ten requests would hold 20 KiB each, then four at most do; others are served."""
    monkeypatch.setattr(protocol, "_UNFINISHED_BYTES", 100 * KIB, raising=False)
    monkeypatch.setattr(protocol, "_OF_ONE_BYTES", 50 * KIB, raising=False)
    with serving(echo, header_timeout=300, request_timeout=300) as url, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(raw_http.connect(url, f"127.0.0.{number}")) for number in range(1, 11)]
        for client in clients:
            client.sendall(start)
        wait_for(lambda: sum(map(was_refused, clients)) >= 6, "refusals", timeout_s=30)
        assert requests.get(url, timeout=30).text == "0"
        assert requests.post(url, data=b"x" * 200, timeout=30).text == "200"
        for client in clients:
            client.close()
        wait_for(lambda: requests.post(url, data=b"x" * 40 * KIB, timeout=30).status_code == 200, "room again",
                 timeout_s=30)


def test_one_address_leaves_room_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given one address that begins more than its share, then large requests of others are taken."""
    monkeypatch.setattr(protocol, "_UNFINISHED_BYTES", 100 * KIB, raising=False)
    monkeypatch.setattr(protocol, "_OF_ONE_BYTES", 50 * KIB, raising=False)
    with serving(echo, header_timeout=300, request_timeout=300) as url, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(raw_http.connect(url, "127.0.0.2")) for _ in range(10)]
        for client in clients:
            client.sendall(HEAD)
        wait_for(lambda: sum(map(was_refused, clients)) >= 8, "refusals", timeout_s=30)
        assert requests.post(url, data=b"x" * 40 * KIB, timeout=30).text == str(40 * KIB)
