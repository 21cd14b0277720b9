"""An answer in the words of HTTP, where it is sent at once and not by uvicorn's part-by-part interface."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

Headers = list[tuple[bytes, bytes]]
Answer = tuple[int, Headers, bytes | Iterator[bytes]]  # status, headers, body
_WITHOUT_BODY: Final = (204, 304)


class Answers:
    """What uvicorn writes an answer to: the transport, but closed in our way."""

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None]) -> None:
        self.write = transport.write
        self.is_closing = transport.is_closing
        self.close = close


def encoded(cycle: RequestResponseCycle, status: int, headers: Headers, body: bytes) -> bytes:
    """Return a complete answer; notes at `cycle` when the application wants the connection closed after it."""
    parts = [STATUS_LINE[status]]
    for name, value in headers:
        if name == b"connection" and b"close" in value.lower():
            cycle.keep_alive = False
        else:
            parts += (name, b": ", value, b"\r\n")
    parts.append(b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n")
    if cycle.scope["method"] != "HEAD" and status not in _WITHOUT_BODY:
        parts.append(body)
    return b"".join(parts)


def nothing() -> None:
    """Do nothing."""
