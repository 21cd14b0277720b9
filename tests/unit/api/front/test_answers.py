"""An answer as bytes is the one that uvicorn would send in parts."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from api.front.answers import encoded, nothing


class Written:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> None:
        """Keep it."""
        self.data += data

    def close(self) -> None:
        """Nothing to do."""


def _cycle(method: str, keep_alive: bool, transport: Any) -> RequestResponseCycle:
    return RequestResponseCycle(
        scope={"method": method}, transport=transport, flow=FlowControl(transport),  # type: ignore[typeddict-item]
        logger=None, access_logger=None, access_log=False, default_headers=[],  # type: ignore[arg-type]
        message_event=asyncio.Event(), expect_100_continue=False, keep_alive=keep_alive, on_response=nothing)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("keep_alive", [True, False])
@pytest.mark.parametrize(("status", "headers", "body"), [
    (200, [(b"content-type", b"text/plain"), (b"content-length", b"5")], b"hello"),
    (404, [(b"content-length", b"0")], b""), (204, [], b""),
    (429, [(b"content-length", b"0"), (b"connection", b"close")], b""),
])
def test_as_uvicorn_sends_it(method: str, keep_alive: bool, status: int, headers: list[tuple[bytes, bytes]],
                             body: bytes) -> None:
    async def in_parts() -> bytes:
        transport = Written()
        send: Any = _cycle(method, keep_alive, transport).send
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
        return transport.data

    cycle = _cycle(method, keep_alive, Written())
    assert sorted(encoded(cycle, status, headers, body).split(b"\r\n")) == sorted(
        asyncio.run(in_parts()).split(b"\r\n"))
    assert cycle.keep_alive == (keep_alive and (b"connection", b"close") not in headers)
