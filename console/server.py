"""The proxy's listening side: one thread for each connection, with a limit, over TLS when configured."""

from __future__ import annotations

import contextlib
import logging
import socket
import socketserver
import ssl
import sys
import threading
from typing import Any

from oslo_config import cfg

from console.handler import ConsoleHandler
from console.origins import Origins
from console.pages import Page, Pages
from console.tokens import TokenPlugin
from hostler import errors
from hostler.db.engine import Database

LOG = logging.getLogger(__name__)
_TLS_HANDSHAKE_S = 15


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
        self._open: set[socket.socket] = set()
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
        if not self._places.acquire(blocking=False):
            LOG.warning("The console proxy is full: a connection of %s was refused", client_address[0])
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve it."""
        self._open.add(request)
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._open.discard(request)
            self._places.release()

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Do the TLS handshake in the connection's own thread."""
        if self._tls is None:
            super().finish_request(request, client_address)
            return
        request.settimeout(_TLS_HANDSHAKE_S)
        with contextlib.closing(self._tls.wrap_socket(request, server_side=True)) as secured:
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
        for request in list(self._open):
            with contextlib.suppress(OSError):
                request.shutdown(socket.SHUT_RDWR)


def _context(certificate: str, key: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key or None)
    except OSError as error:
        raise errors.Invalid(reason=f"[console] tls_certificate {certificate} cannot be used: {error}.") from error
    return context
