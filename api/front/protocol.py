"""One connection: uvicorn's HTTP/1.1, with limits on sizes and a deadline for what the client has to do.

The deadline is one number, which every step of the request moves; the server compares all of them with the clock once a
second. A timer per step would cost more than all the rest of this.
"""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import math
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from api.front.answers import Answer, Answers, encoded, nothing
from api.front.idle import IdleConnections
from api.front.strangers import Strangers
from hostler.identity.lockout import source_of

# Requests a client may send ahead of their answers.
_PIPELINED: Final = 8
_MAX_HEADERS: Final = 100
# How long, and how much of, what a client still sends is thrown away after its answer: closed at once, a socket with
# unread bytes resets the connection, and the client may lose the answer.
_LINGER_S: Final = 5.0
_LINGER_BYTES: Final = 64 * 1048576
# Read at most this much at a time: what many clients send at once is held at the same time.
_READ_BYTES: Final = 32768
# Of image data, which a worker asks for.
_READ_TRANSFER_BYTES: Final = 65536
_TLS_AHEAD_BYTES: Final = 16384
# A chunk costs as much as that many bytes. A body may have this much less than its chunks would hold: each is a few
# calls of ours, so that a body of single bytes would cost a hundred times what it should.
_CHUNK_BYTES: Final = 64
_MISSING_BYTES: Final = 4096 * _CHUNK_BYTES
# What unfinished requests may hold in all: each connection's limits, times their number, would be far more. One address
# may hold a part of it, or it could have everybody else's large requests refused.
_UNFINISHED_BYTES: Final = 12 * 1048576
_OF_ONE_BYTES: Final = 3 * 1048576
# Beyond it requests go on that hold no more than this, which is what most heads are.
_SMALL_BYTES: Final = 4096
_WORDS: Final = {400: "Invalid HTTP request.", 408: "The request took too long.",
                 431: "The request's line and headers are too large.",
                 503: "Too many large requests are unfinished."}


class Unfinished:
    """How many bytes of requests that are not complete all connections hold, and those of each source."""

    def __init__(self) -> None:
        self.size_bytes = 0
        self.by_source: collections.Counter[str] = collections.Counter()

    def add(self, source: str, size_bytes: int) -> None:
        """Note more, or fewer, bytes of one source."""
        self.size_bytes += size_bytes
        self.by_source[source] += size_bytes
        if not self.by_source[source]:
            del self.by_source[source]

    def is_too_much(self, source: str) -> bool:
        """Return whether all, or this source ("": any number of clients), hold too much."""
        return self.size_bytes > _UNFINISHED_BYTES or (bool(source) and self.by_source[source] > _OF_ONE_BYTES)


@dataclasses.dataclass(frozen=True)
class Limits:
    """What a client may send, and how long it may take; see the options of `[api]`."""

    header_bytes: int
    header_timeout_s: float
    request_timeout_s: float
    keep_alive_s: float
    bytes_per_s: int
    small_bytes: int  # a request whose body is no larger is handled when all of it has come
    strangers: Strangers
    idle: IdleConnections = dataclasses.field(default_factory=IdleConnections)
    exempt: Callable[[str], bool] = lambda _address: False  # proxies: no share of an address is theirs
    unfinished: Unfinished = dataclasses.field(default_factory=Unfinished)


class _Refused(Exception):
    """The request breaks a limit."""


class Protocol(HttpToolsProtocol):
    """A connection with limits. `transfer`: the body is image data, which is streamed and may be of any length."""

    transfer = False

    def __init__(self, limits: Limits, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._limits = limits
        self._status = 400  # of the answer to a request that does not parse
        self._deadline = math.inf
        # What came since the parser last finished something: a request's head, a piece of its body. It is held.
        self._held_bytes = 0
        self._progressed = False
        self._lost = False
        self._waiting: asyncio.Task[Any] | None = None  # for something else than this client
        self._request_bytes = 0  # of a request's complete head and the body that came, until all of it has
        self._missing_bytes = 0  # of chunks smaller than they should be
        self._counted_bytes = 0  # by us in `Limits.unfinished`, for our source
        self._source = ""
        self._number = -1  # while it is a stranger's
        self._unsent = (0, math.inf)  # bytes, and when the client must have taken some of them
        self._served: RequestResponseCycle | None = None  # the request whose turn it is
        self._small: RequestResponseCycle | None = None  # the same, if it is small and has no answer yet
        self._small_answered: asyncio.Event | None = None  # when it has, which nobody but the end of the server awaits
        self._lingers = False
        self._begun = False  # a request that is not complete
        self._thrown_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin; the first request must come now."""
        super().connection_made(transport)
        self._read_at_most(_READ_BYTES)
        if hasattr(transport, "set_read_buffer_limits"):
            # What TLS reads ahead while nobody takes it; asyncio's own limit is 256 KiB.
            transport.set_read_buffer_limits(_TLS_AHEAD_BYTES)
        self._deadline = self.loop.time() + self._limits.header_timeout_s
        address = self.client[0] if self.client else ""
        self._source = "" if self._limits.exempt(address) else source_of(address)
        if self._source:
            self._number = transport.get_extra_info("socket").fileno()
            self._limits.strangers.change_end(self._number, transport.abort)

    @property
    def is_stranger(self) -> bool:
        """Whether no request with a valid token has come yet, from a client that is no proxy."""
        return self._number >= 0

    def authenticated(self) -> None:
        """Note that a request's token is valid."""
        if not self._lost and self.is_stranger:
            self._limits.strangers.remove(self._number)
            self._number = -1

    @property
    def gone(self) -> bool:
        """Whether nobody reads an answer any more."""
        return self._lingers or self.transport.is_closing()

    def data_received(self, data: bytes) -> None:
        """Parse what came; refuses a head, or anything else the parser holds, that is too large."""
        if self._lingers:
            self._throw_away(len(data))
            return
        self._progressed = False
        super().data_received(data)
        if self._lingers:
            return
        self._held_bytes = 0 if self._progressed else self._held_bytes + len(data)
        if (self._held_bytes > self._limits.header_bytes or len(self.headers or ()) > _MAX_HEADERS) and not self.gone:
            self._refuse(431)
        elif self._held_bytes + self._request_bytes != self._counted_bytes:
            self._count(self._held_bytes + self._request_bytes)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget what is held, and let nothing hold it any longer."""
        self._forget()
        if self._small is not None and not self._small.more_body:
            # The server does not end before its workers have.
            self._small_answered = asyncio.Event()
            task = self.loop.create_task(self._small_answered.wait())
            self.tasks.add(task)  # type: ignore[arg-type]
            task.add_done_callback(self.tasks.discard)  # type: ignore[arg-type]
        super().connection_lost(exc)

    def _forget(self) -> None:
        self._lost = True
        self._limits.idle.remove(self, self._source)
        if self._waiting is not None:
            self._waiting.cancel()
        self._limits.unfinished.add(self._source, -self._counted_bytes)
        self._counted_bytes = 0

    async def unless_gone(self, something: Coroutine[Any, Any, Any]) -> None:
        """Wait for something; raises CancelledError when the connection is lost first."""
        if self._lost:
            something.close()
            raise asyncio.CancelledError
        self._waiting = asyncio.current_task()
        try:
            await something
        finally:
            self._waiting = None

    def _count(self, size_bytes: int) -> None:
        """Note what this connection holds; refuses it when it and others hold too much."""
        self._limits.unfinished.add(self._source, size_bytes - self._counted_bytes)
        self._counted_bytes = size_bytes
        if size_bytes > _SMALL_BYTES and self._limits.unfinished.is_too_much(self._source) and not self.gone:
            self._refuse(503)

    def _read_at_most(self, size_bytes: int) -> None:
        # With TLS, `server` has set it for all connections.
        if hasattr(self.transport, "max_size"):
            self.transport.max_size = size_bytes

    def on_message_begin(self) -> None:
        """Start the time in which the head must be complete."""
        super().on_message_begin()
        self._limits.idle.remove(self, self._source)
        self._thrown_bytes, self._begun = 0, True
        self._deadline = self.loop.time() + self._limits.header_timeout_s

    def on_headers_complete(self) -> None:
        """Check the head, start the time in which the body must be complete, and have the request handled."""
        self._progressed = True
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > self._limits.header_bytes or len(self.headers) > _MAX_HEADERS:
            self._status = 431
            raise _Refused
        self._request_bytes = size
        if len(self.pipeline) >= _PIPELINED:
            raise _Refused
        self.transfer = self.parser.get_method() == b"PUT" and any(
            name == b"content-type" and value.startswith(b"application/octet-stream") for name, value in self.headers)
        self._missing_bytes = 0
        self._read_at_most(_READ_TRANSFER_BYTES if self.transfer else _READ_BYTES)
        self.scope["state"].update(connection=self, body=b"" if self._is_small() else None)
        self._deadline = self.loop.time() + self._limits.request_timeout_s
        super().on_headers_complete()
        self.cycle.transport = Answers(self.transport, self.end)  # type: ignore[assignment]
        if self.transfer:
            # A worker asks for the data once the request is authorized; until then the client keeps it.
            self.flow.pause_reading()

    def _is_small(self) -> bool:
        if self.transfer or self.expect_100_continue:
            return False
        size = 0
        for name, value in self.headers:
            if name == b"content-length":
                size = int(value)  # the parser takes digits only
            elif name == b"transfer-encoding":
                return False
        return size <= self._limits.small_bytes

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Have a request handled whose turn it is; a small one once it is complete, and without a task."""
        self._served = cycle
        if cycle.scope["state"]["body"] is None:
            super()._start_asgi_task(cycle, app)
            return
        self._small = cycle
        if not cycle.more_body:
            cycle.scope["state"]["body"] = bytes(cycle.body)
            try:
                app(cycle.scope, cycle.receive, cycle.send).send(None)
            except StopIteration:
                return
            raise AssertionError("a small request waits for nothing")

    def answer(self, answer: Answer, in_parts: Callable[[Any], Awaitable[None]]) -> None:
        """Send the answer to a small request at once, or, where it cannot be, by the coroutine `in_parts(send)`."""
        cycle, self._small = self._small, None
        assert cycle is not None, "a small request has one answer"
        if self._small_answered is not None:
            self._small_answered.set()
        status, headers, body = answer
        if not isinstance(body, bytes) or self.flow.write_paused:
            async def send_in_parts(_scope: Any, _receive: Any, send: Any) -> None:
                await in_parts(send)

            super()._start_asgi_task(cycle, send_in_parts)  # type: ignore[arg-type]
            return
        cycle.on_response = nothing  # else both would live until a garbage collection
        if cycle.disconnected:
            return
        cycle.response_started = cycle.response_complete = True
        if not self.gone:
            self.transport.write(encoded(cycle, status, self.server_state.default_headers + headers, body))
            if not cycle.keep_alive:
                self.end()
        self.on_response_complete()

    def end(self) -> None:
        """Close the connection after an answer, so that the client can read it even if it is still sending."""
        if self.cycle.more_body:
            self._linger()
        else:
            self.transport.close()

    def on_chunk_header(self) -> None:
        """Note that a chunk begins; refuses a body of many tiny ones."""
        self._progressed = True
        self._missing_bytes += _CHUNK_BYTES
        if self._missing_bytes > _MISSING_BYTES:
            raise _Refused

    def on_body(self, body: bytes) -> None:
        """Take a part of the body; image data buys time for more of it."""
        super().on_body(body)
        self._progressed = True
        self._missing_bytes -= len(body)
        if self.cycle.response_complete:
            self._throw_away(len(body))
        elif not self.transfer:
            self._request_bytes += len(body)
        else:
            self._deadline = min(self._deadline + len(body) / self._limits.bytes_per_s,
                                 self.loop.time() + self._limits.request_timeout_s)

    def on_message_complete(self) -> None:
        """Stop the clock: it is our turn, or the client is idle."""
        super().on_message_complete()
        self._progressed = True
        self._request_bytes, self._begun = 0, False
        if self._small is self.cycle:
            self._start_asgi_task(self.cycle, self.app)
        if self.cycle.response_complete:
            self.cycle.more_body = False
            self._deadline = self.loop.time() + self._limits.keep_alive_s
        else:
            self._deadline = math.inf

    def on_response_complete(self) -> None:
        """Wait for the next request, or for the end of a body nobody wanted."""
        queued = bool(self.pipeline)
        unread = self.cycle.more_body
        self.server_state.total_requests += 1
        if self.gone:
            return
        self.flow.resume_reading()
        if queued:
            # uvicorn's own, which we replace, would start a timer besides.
            self._start_asgi_task(*self.pipeline.pop())
            self._deadline = self.loop.time() + self._limits.request_timeout_s if unread else math.inf
        else:
            self._deadline = self.loop.time() + (_LINGER_S if unread else self._limits.keep_alive_s)
            if not (unread or self._begun or self.transport.get_write_buffer_size()):
                # Not closed in order: over TLS a silent client would keep it for as long as that may take.
                self._limits.idle.add(self, self._source, self.transport.abort)

    def sweep(self, now: float) -> None:
        """End the connection when its client is late; called about once a second."""
        if self.gone:
            if now > self._deadline:
                self.transport.close()
        elif self.transfer and self.flow.read_paused:
            # We are the slow one.
            self._deadline = max(self._deadline, now + 1)
        elif now > self._deadline:
            self._refuse(408)
            return
        unsent, until = self.transport.get_write_buffer_size(), self._unsent[1]
        if not unsent or unsent < self._unsent[0] or until == math.inf:
            self._unsent = (unsent, now + self._limits.request_timeout_s if unsent else math.inf)
        elif now > until:
            self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        """Answer a request that does not parse; called by the base class."""
        self._refuse(self._status)

    def _refuse(self, status: int) -> None:
        idle = self.cycle is None or self.cycle.response_complete
        # An idle client that has said nothing is told nothing, and an answer that has begun cannot be replaced.
        told = not self.cycle.response_started if not idle else status != 408 or self._held_bytes > 0
        if self.cycle is not None:
            # Not later, when the connection is lost: until then all others that are refused now would hold theirs.
            self.cycle.body.clear()
        if told:
            text = _WORDS[status].encode()
            self.transport.write(STATUS_LINE[status] + b"content-type: text/plain; charset=utf-8\r\nconnection: close"
                                 b"\r\ncontent-length: %d\r\n\r\n" % len(text) + text)
            self._linger()
        else:
            self.transport.close()

    def _linger(self) -> None:
        """Say no more, hold nothing, and throw away what still comes, for a while."""
        self._lingers = True
        self._deadline = self.loop.time() + _LINGER_S
        self._forget()
        self.pipeline.clear()
        self.parser = None  # type: ignore[assignment]
        self.headers = []
        self.url = b""
        if self._served is not None and not self._served.response_complete:
            self._served.disconnected = True
            self._served.message_event.set()
        try:
            if self.transport.can_write_eof():
                self.transport.write_eof()
        except OSError:
            # The client has reset the connection, of which the loop has not heard yet.
            self.transport.abort()
            return
        self.flow.resume_reading()

    def _throw_away(self, size_bytes: int) -> None:
        self._thrown_bytes += size_bytes
        if self._thrown_bytes > _LINGER_BYTES:
            self.transport.abort()
