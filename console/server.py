"""The proxy's listening side: one thread for each connection, over TLS when configured.

Anybody may connect, so what has not opened a console yet is bounded: how long it may take, and how many places one
address may hold that way. Consoles are not: who opened one had a token.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import socket
import socketserver
import ssl
import sys
import threading
import time
from typing import Any, Final

from oslo_config import cfg

from console.handler import ConsoleHandler
from console.origins import Origins
from console.pages import Page, Pages
from console.tokens import TokenPlugin
from hostler import errors
from hostler.db.engine import Database
from hostler.identity.lockout import source_of

LOG = logging.getLogger(__name__)
_TLS_HANDSHAKE_S = 15
# To ask for a console, or to ask for a page and take it.
_VISIT_S: Final = 60
# One of so many places may be held by one address without a console.
_SHARE: Final = 8


@dataclasses.dataclass
class _Visit:
    """A connection; `began` by the monotonic clock."""

    source: str
    connection: socket.socket
    began: float
    has_console: bool = False

    def end(self) -> None:
        """Make its thread see the end of the connection, also below TLS."""
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self.connection, socket.SHUT_RDWR)


class ProxyServer(socketserver.ThreadingTCPServer):
    """Listens until `stop`; holds what its handlers need, under the names that websockify expects."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128
    # Read by websockify's handler.
    only_upgrade = run_once = verbose = traffic = web_auth = host_token = record = file_only = False
    auth_plugin = heartbeat = None

    def __init__(self, conf: cfg.ConfigOpts, db: Database, tokens: TokenPlugin) -> None:
        options = conf.console
        self.token_plugin = tokens
        self.origins = Origins(options)
        self.pages = Pages(options)
        self.logger = LOG
        self._db = db
        self._places = threading.BoundedSemaphore(options.max_connections)
        self._share = max(options.max_connections // _SHARE, 1)
        self._visits: dict[socket.socket, _Visit] = {}
        self._this = threading.local()
        self._tls = _context(options.tls_certificate, options.tls_private_key) if options.tls_certificate else None
        host, port = options.novncproxy_host, options.novncproxy_port
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            super().__init__((host, port), ConsoleHandler)
        except OSError as error:
            raise errors.Unavailable(f"The console proxy cannot listen at {host}, port {port}: {error.strerror}. See "
                                     "[console] novncproxy_host and novncproxy_port.") from error

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.server_address[1])

    def look_after_health(self) -> Page:
        """Return 200 when the database answers."""
        try:
            self._db.read_clock()
        except errors.HostlerError:
            return Page(503, b"The database does not answer\n", "text/plain")
        return Page(200, b"OK\n", "text/plain")

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection in a thread of its own, unless too many are open."""
        source = source_of(client_address[0])
        waiting = sum(visit.source == source and not visit.has_console for visit in list(self._visits.values()))
        if waiting >= self._share:
            self.shutdown_request(request)
            return
        if not self._places.acquire(blocking=False):
            LOG.warning("The console proxy is full: a connection of %s was refused", client_address[0])
            self.shutdown_request(request)
            return
        self._visits[request] = _Visit(source, request, time.monotonic())
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve it."""
        self._this.visit = self._visits[request]
        try:
            super().process_request_thread(request, client_address)
        finally:
            del self._visits[request]
            self._places.release()

    def console_opens(self) -> None:
        """Note that this thread's connection has a console from now on."""
        self._this.visit.has_console = True

    def service_actions(self) -> None:
        """End the connections that have taken too long (called twice a second)."""
        since = time.monotonic() - _VISIT_S
        for visit in list(self._visits.values()):
            if visit.began < since and not visit.has_console:
                visit.end()

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Do the TLS handshake in the connection's own thread."""
        if self._tls is None:
            super().finish_request(request, client_address)
            return
        request.settimeout(_TLS_HANDSHAKE_S)
        with contextlib.closing(self._tls.wrap_socket(request, server_side=True,
                                                      do_handshake_on_connect=False)) as secured:
            self._this.visit.connection = secured
            secured.do_handshake()
            super().finish_request(secured, client_address)

    def handle_error(self, _request: Any, client_address: Any) -> None:
        """Log why a connection ended; a client that hangs up is not an error."""
        error = sys.exc_info()[1]
        if isinstance(error, OSError):
            LOG.debug("The connection of %s ended: %s", client_address[0], error)
        else:
            LOG.error("The connection of %s ended", client_address[0], exc_info=True)

    def stop(self) -> None:
        """Stop listening and end all open connections."""
        self.shutdown()
        self.server_close()
        for visit in list(self._visits.values()):
            visit.end()


def _context(certificate: str, key: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key or None)
    except OSError as error:
        raise errors.Invalid(reason=f"[console] tls_certificate {certificate} cannot be used: {error}.") from error
    return context
