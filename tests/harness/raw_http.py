"""Clients that do not keep to the rules: they write bytes to sockets."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

HALF_HEAD = b"GET /identity/v3 HTTP/1.1\r\nHost: cloud\r\nX-Slow: "
HALF_BODY = (b"POST /identity/v3/auth/tokens HTTP/1.1\r\nHost: cloud\r\nContent-Type: application/json\r\n"
             b"Content-Length: 1000\r\n\r\n{\"auth\": {")


def connect(url: str, source: str = "127.0.0.1") -> socket.socket:
    """Return a connection to the server of `url`, from one of loopback's addresses."""
    parts = urlsplit(url)
    return socket.create_connection((str(parts.hostname), int(parts.port or 80)), timeout=30,
                                    source_address=(source, 0))


@contextlib.contextmanager
def connections(url: str, count: int, start: bytes = b"", source: str = "127.0.0.1") -> Iterator[list[socket.socket]]:
    """`count` connections, each of which has sent `start`."""
    with contextlib.ExitStack() as stack:
        made = [stack.enter_context(connect(url, source)) for _ in range(count)]
        for one in made:
            one.sendall(start)
        yield made


def is_open(connection: socket.socket, wait_s: float = 0.0) -> bool:
    """Return whether the server has not closed a connection on which it says nothing."""
    connection.settimeout(wait_s or 0.001)
    try:
        return connection.recv(1) != b""
    except TimeoutError:
        return True
    except OSError:
        return False


def status(connection: socket.socket, timeout_s: float = 30) -> int | None:
    """Return the status of the answer that comes; None when the connection is closed without one."""
    connection.settimeout(timeout_s)
    line = b""
    with contextlib.suppress(ConnectionError):
        while not line.endswith(b"\n") and (byte := connection.recv(1)):
            line += byte
    return int(line.split()[1]) if line.endswith(b"\n") else None


def pour(connection: socket.socket, block: bytes, limit_bytes: int, timeout_s: float = 30) -> int:
    """Send `block` again and again until the server answers, closes, or `limit_bytes` are sent; returns the bytes."""
    sent, end = 0, time.monotonic() + timeout_s
    connection.settimeout(0.2)
    while sent < limit_bytes and time.monotonic() < end:
        try:
            sent += connection.send(block)
            connection.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                connection.recv(1, socket.MSG_PEEK)
                return sent
            connection.settimeout(0.2)
        except TimeoutError:
            continue
        except OSError:
            return sent
    return sent
