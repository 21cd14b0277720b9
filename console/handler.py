"""One browser's connection: pages over HTTP, consoles over WebSockets (websockify does the framing).

It differs from websockify's own proxy in four ways. The token is used and the host connected before the WebSocket is
accepted, so that a refusal is an HTTP status. The target belongs to the connection; websockify keeps it in the server,
which threads share. A slow reader slows the other side down instead of filling memory. Tokens are never logged.
"""

from __future__ import annotations

import contextlib
import logging
import select
import socket
import ssl
from typing import Any
from urllib.parse import parse_qs, urlsplit

from websockify.websocket import WebSocketWantWriteError
from websockify.websocketproxy import ProxyRequestHandler

from console.pages import Page
from hostler import errors

LOG = logging.getLogger(__name__)
HEALTH_PATH = "healthcheck"
_HTTP_S = 15  # to send a request, and to read an answer
_PING_S = 30  # keeps idle connections alive in proxies and NAT on the way
_LARGEST_MESSAGE = 16 * 1024 * 1024
_NOT_NOW = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class ConsoleHandler(ProxyRequestHandler):  # type: ignore[misc]
    """Serves one connection; `server` is `console.server.ProxyServer`."""

    server_version, sys_version = "Hostler", ""
    timeout = _HTTP_S

    def log_message(self, format: str, *_arguments: Any) -> None:
        """Log nothing: requests contain tokens, and the token plugin logs what matters."""

    def handle_upgrade(self) -> None:
        """Use up the token and connect; refusals are HTTP statuses."""
        if not self.server.origins.allows(self.headers.get("Origin"), self.headers.get("Host")):
            LOG.warning("A page of another site tried to open a console for %s", self.client_address[0])
            self._refuse(403, "This page may not open consoles")
            return
        token = parse_qs(urlsplit(self.path).query).get("token", [""])[0]
        try:
            target = self.server.token_plugin.open(token, self.client_address[0])
        except errors.Forbidden as error:
            self._refuse(403, str(error))
            return
        except errors.HostlerError as error:
            self._refuse(503, str(error))
            return
        with contextlib.closing(target):
            self._target = target
            self.server.console_opens()
            super().handle_upgrade()

    def validate_connection(self) -> None:
        """Nothing left to check: `handle_upgrade` has done it."""

    def auth_connection(self) -> None:
        """The token is the authentication."""

    def new_websocket_client(self) -> None:
        """Relay bytes until either side closes."""
        with contextlib.suppress(ConnectionError):
            self.do_proxy(self._target)

    def do_proxy(self, target: socket.socket) -> None:
        """Relay bytes between the WebSocket and `target`; raises CClose when the console ends."""
        target.setblocking(False)
        self.request.setblocking(False)
        to_target, stuck = b"", False
        while True:
            of_target = (select.POLLOUT if to_target else 0) | (0 if stuck else select.POLLIN)
            of_client = (select.POLLOUT if stuck else 0) | (0 if to_target else select.POLLIN)
            if not self._wait(target, of_target, of_client):
                with contextlib.suppress(WebSocketWantWriteError):
                    self.send_ping()
            stuck = stuck and bool(self.send_frames())
            if not to_target:
                messages, closed = self.recv_frames()
                to_target = b"".join(messages)
                if closed:
                    return
                if len(self.request._recv_buffer) > _LARGEST_MESSAGE:
                    raise self.CClose(1009, "Message too big")
            if to_target:
                with contextlib.suppress(*_NOT_NOW):
                    to_target = to_target[target.send(to_target):]
            if not stuck:
                stuck = self._forward(target)

    def _forward(self, target: socket.socket) -> bool:
        """Forward what `target` has sent; returns whether part of it is still waiting for the client."""
        try:
            data = target.recv(self.buffer_size)
        except _NOT_NOW:
            return False
        if not data:
            raise self.CClose(1000, "The console has ended")
        return bool(self.send_frames([data]))

    def _wait(self, target: socket.socket, of_target: int, of_client: int) -> bool:
        """Wait up to `_PING_S` for one of the events; returns whether there was one."""
        if of_client & select.POLLIN and self.request.pending():
            return True
        poll = select.poll()
        for end, events in ((target, of_target), (self.request, of_client)):
            if events:
                poll.register(end.fileno(), events)
        return bool(poll.poll(_PING_S * 1000))

    def do_GET(self) -> None:
        """Serve a page."""
        parts = urlsplit(self.path)
        path = parts.path.lstrip("/")
        if path == HEALTH_PATH:
            self._answer(self.server.look_after_health())
        else:
            self._answer(self.server.pages.find(path, parts.query))

    do_HEAD = do_GET

    def _answer(self, page: Page) -> None:
        self.send_response(page.status)
        self.send_header("Content-Type", page.type)
        self.send_header("Content-Length", str(len(page.content)))
        # Page URLs contain tokens, which must not reach caches or linked sites.
        self.send_header("Cache-Control", "no-store" if page.type.startswith("text/html") else "max-age=3600")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("X-Content-Type-Options", "nosniff")
        if page.location is not None:
            self.send_header("Location", page.location)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(page.content)

    def _refuse(self, status: int, reason: str) -> None:
        self.close_connection = True
        self.send_error(status, reason)
