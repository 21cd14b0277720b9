"""Between uvicorn (ASGI) and the application (WSGI): takes the body, has a worker answer, sends the answer.

A JSON body is complete before a worker sees the request, and an answer in parts occupies a worker only while it makes
the next part; so a slow client costs a connection, not a worker. Image data is read by a worker as it comes: there are
as many of these besides the others.

A small request, which is nearly every one, passes from the loop to a worker and back without a task or a future of
asyncio: these would cost as much as the rest of the front.

Health checks have a worker of their own, so that a busy process does not look like a dead one.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import io
import logging
import sys
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from uvicorn.protocols.http.httptools_impl import HEADER_RE, HEADER_VALUE_RE

from api.front.answers import Answer
from api.front.protocol import Protocol

LOG = logging.getLogger(__name__)

HEALTH_PATH: Final = "/healthcheck"
# In an environ whose connection has shown no token yet: what the application calls once it has checked one.
AUTHENTICATED: Final = "hostler.authenticated"
Environ = dict[str, Any]
Application = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

# A body up to this size does not count as large.
SMALL_BYTES: Final = 16384
# Large bodies held at the same time, in total and from one address.
_LARGE_BODIES: Final = 32
_LARGE_BODIES_OF_ONE: Final = 8
_PART_BYTES: Final = 262144
_NAMES_KEPT: Final = 1000
_END: Final = b""
_FAILED: Final[Answer] = (500, [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"21"),
                                (b"connection", b"close")], b"Internal Server Error")


class Gateway:
    """The ASGI application that uvicorn calls."""

    def __init__(self, app: Application, *, threads: int, max_body_bytes: int) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes
        self._workers = ThreadPoolExecutor(threads, "http")
        self._transfers = ThreadPoolExecutor(threads, "http-data")
        self._health = ThreadPoolExecutor(1, "health")
        self._large = asyncio.Semaphore(_LARGE_BODIES)
        self._large_of: weakref.WeakValueDictionary[str, asyncio.Semaphore] = weakref.WeakValueDictionary()
        self._names: dict[bytes, str] = {b"content-type": "CONTENT_TYPE", b"content-length": "CONTENT_LENGTH"}

    def close(self) -> None:
        """Take no more requests."""
        for pool in (self._workers, self._transfers, self._health):
            pool.shutdown(wait=False, cancel_futures=True)

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Serve one request; a small one's answer comes later, through its connection."""
        connection: Protocol = scope["state"]["connection"]
        environ = self._environ(scope)
        loop = asyncio.get_running_loop()
        if connection.is_stranger:
            environ[AUTHENTICATED] = functools.partial(loop.call_soon_threadsafe, connection.authenticated)
        if (small := scope["state"]["body"]) is not None:
            environ["wsgi.input"] = io.BytesIO(small)
            self._pool(scope).submit(self._serve, loop, connection, environ)
            return
        async with AsyncExitStack() as stack:
            if connection.transfer:
                pool = self._transfers
                environ["wsgi.input"] = io.BufferedReader(_Incoming(receive, loop), _PART_BYTES)
            else:
                pool = self._pool(scope)
                body = await self._body(connection, environ, receive, stack)
                if body is None:
                    return
                environ["wsgi.input"] = io.BytesIO(body)
            answer = await loop.run_in_executor(pool, _answer, self._app, environ)
        await self._send(pool, connection, answer, send)

    def _pool(self, scope: Any) -> ThreadPoolExecutor:
        return self._health if scope["path"] == HEALTH_PATH else self._workers

    def _serve(self, loop: asyncio.AbstractEventLoop, connection: Protocol, environ: Environ) -> None:
        """Answer a small request; runs in a worker."""
        try:
            answer = _answer(self._app, environ)
            for name, value in answer[1]:
                if HEADER_RE.search(name) or HEADER_VALUE_RE.search(value):
                    raise ValueError(f"no value of a header {name!r}")
        except Exception:
            LOG.exception("The application failed.")
            answer = _FAILED
        send = functools.partial(self._send, self._workers, connection, answer)
        # After the end of the loop there is nobody to answer.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(connection.answer, answer, send)

    async def _send(self, pool: ThreadPoolExecutor, connection: Protocol, answer: Answer, send: Send) -> None:
        status, headers, blocks = answer
        await send({"type": "http.response.start", "status": status, "headers": headers})
        if isinstance(blocks, bytes):
            await send({"type": "http.response.body", "body": blocks})
            return
        await self._send_parts(pool, connection, blocks, send)

    async def _send_parts(self, pool: ThreadPoolExecutor, connection: Protocol, blocks: Iterator[bytes],
                          send: Send) -> None:
        loop = asyncio.get_running_loop()
        try:
            while not connection.gone and (block := await loop.run_in_executor(pool, next, blocks, _END)):
                for start in range(0, len(block), _PART_BYTES):
                    await send({"type": "http.response.body", "body": block[start:start + _PART_BYTES],
                                "more_body": True})
            await send({"type": "http.response.body", "body": _END})
        finally:
            if (close := getattr(blocks, "close", None)) is not None:
                close()

    async def _body(self, connection: Protocol, environ: Environ, receive: Receive,
                    stack: AsyncExitStack) -> bytes | None:
        """Return the body, or as much of it as shows that it is too large; None when the client has gone."""
        length = environ.get("CONTENT_LENGTH", "")
        if not length and "HTTP_TRANSFER_ENCODING" not in environ:
            return b""
        if length.isdecimal() and int(length) > self._max_body_bytes:
            return b""  # the application refuses it by its length
        body = bytearray()
        more, large = True, False
        while more and len(body) <= self._max_body_bytes:
            if len(body) > SMALL_BYTES and not large:
                large = True
                try:
                    await connection.unless_gone(stack.enter_async_context(self._room(environ["REMOTE_ADDR"])))
                except asyncio.CancelledError:
                    return None
            message = await receive()
            if message["type"] != "http.request":
                return None
            body += message["body"]
            more = message["more_body"]
        return bytes(body)

    @asynccontextmanager
    async def _room(self, address: str) -> AsyncIterator[None]:
        """Wait until one more large body may be held."""
        own = self._large_of.get(address) or asyncio.Semaphore(_LARGE_BODIES_OF_ONE)
        self._large_of[address] = own
        async with own, self._large:
            yield

    def _environ(self, scope: Any) -> Environ:
        raw: bytes = scope["raw_path"]
        # An encoded slash stays encoded: it is part of a name, not a separator.
        path = unquote_to_bytes(raw.replace(b"%2F", b"%252F").replace(b"%2f", b"%252F")) if b"%" in raw else raw
        server, client = scope["server"] or ("", 0), scope["client"] or ("", 0)
        environ: Environ = {
            "REQUEST_METHOD": scope["method"], "SCRIPT_NAME": "", "PATH_INFO": path.decode("latin-1"),
            "QUERY_STRING": scope["query_string"].decode("latin-1"), "SERVER_NAME": server[0],
            "SERVER_PORT": str(server[1]), "SERVER_PROTOCOL": "HTTP/" + scope["http_version"],
            "REMOTE_ADDR": client[0], "REMOTE_PORT": str(client[1]), "wsgi.version": (1, 0),
            "wsgi.url_scheme": scope["scheme"], "wsgi.errors": sys.stderr, "wsgi.multithread": True,
            "wsgi.multiprocess": False, "wsgi.run_once": False, "wsgi.input_terminated": True}
        for name, value in scope["headers"]:
            key = self._names.get(name)
            if key is None:
                if b"_" in name:
                    continue  # would pass for the same name with a dash
                key = "HTTP_" + name.decode("latin-1").upper().replace("-", "_")
                if len(self._names) < _NAMES_KEPT:
                    self._names[name] = key
            text = value.decode("latin-1")
            environ[key] = f"{environ[key]},{text}" if key in environ else text
        return environ


class _Incoming(io.RawIOBase):
    """Image data as a file, for a worker: each read waits for the client."""

    def __init__(self, receive: Receive, loop: asyncio.AbstractEventLoop) -> None:
        self._receive = receive
        self._loop = loop
        self._left = memoryview(b"")
        self._more = True

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer` with what has come; 0 is the end. Raises ConnectionResetError when the client has gone."""
        while not self._left and self._more:
            message = asyncio.run_coroutine_threadsafe(_received(self._receive), self._loop).result()
            if message["type"] != "http.request":
                raise ConnectionResetError("The client has closed the connection.")
            self._left, self._more = memoryview(message["body"]), message["more_body"]
        size = min(len(buffer), len(self._left))
        buffer[:size] = self._left[:size]
        self._left = self._left[size:]
        return size


async def _received(receive: Receive) -> Message:
    return await receive()


def _answer(app: Application, environ: Environ) -> Answer:
    """Run the application; returns status, headers, and the body or an iterator of its parts."""
    started: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(status: str, headers: list[tuple[str, str]], _exc_info: Any = None) -> None:
        started[:] = [(status, headers)]

    result = app(environ, start_response)
    blocks = b"".join(result) if isinstance(result, list | tuple) else iter(result)
    status, headers = started[0]
    code = int(status[:3])
    encoded = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    if isinstance(blocks, bytes) and code not in (204, 304) and b"content-length" not in dict(encoded):
        encoded.append((b"content-length", b"%d" % len(blocks)))
    return code, encoded, blocks
