"""The HTTP server under the application: cheroot, with special care for unread bodies and health checks.

cheroot reads what a handler left of a body before it answers, to keep the connection. For a large upload that is
refused at once (no token, no such image) it would take it all into memory: such a connection is closed instead.

Requests wait for a worker, and workers wait for the database. Health checks have a thread of their own, so that a
busy process does not look like a dead one. A connection is looked at once it has data, which also keeps idle ones from
holding a worker. What comes over TLS cannot be looked at and is served like the rest.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import socket
import ssl
import threading
from typing import Any

from cheroot import wsgi
from cheroot.ssl.builtin import BuiltinSSLAdapter
from oslo_config import cfg

LOG = logging.getLogger(__name__)

HEALTH_PATH = "/healthcheck"
_HEALTH_REQUEST = f"GET {HEALTH_PATH} ".encode()
# A health check that does not send the rest of its request must not hold up the next one.
_HEALTH_S = 2.0
# What is left of a body and not larger than this is read to keep the connection.
_DRAIN_BYTES = 65536


class Gateway(wsgi.Gateway_10):
    """Closes the connection when much of the request's body is unread at the time of the answer."""

    def start_response(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        """Begin the answer."""
        left = getattr(self.req.rfile, "remaining", 0)
        if self.req.chunked_read and not getattr(self.req.rfile, "closed", False):
            # The last chunk is read by the handler that wanted the body; any other leaves it to the close.
            self.req.close_connection = True
        elif left > _DRAIN_BYTES:
            self.req.close_connection = True
        return super().start_response(status, headers, exc_info)


class Server(wsgi.Server):
    """A server whose health checks do not wait for workers."""

    _connections: Any  # cheroot's selector of idle connections

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._health: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def prepare(self) -> None:
        """Listen, and start the thread of the health checks."""
        super().prepare()
        threading.Thread(target=self._check_health, name="health", daemon=True).start()

    def stop(self) -> None:
        """Close in order."""
        super().stop()
        self._health.put(None)

    def process_conn(self, conn: Any) -> None:
        """Hand a connection with data to a worker or the health thread; one without joins the idle ones."""
        if conn.rfile.has_data():
            super().process_conn(conn)
            return
        start = _first_bytes(conn.socket)
        if start is None:
            self._connections.put(conn)
        elif start == _HEALTH_REQUEST:
            self._health.put(conn)
        else:
            super().process_conn(conn)

    def _check_health(self) -> None:
        while (conn := self._health.get()) is not None:
            keep = False
            try:
                conn.socket.settimeout(_HEALTH_S)
                keep = conn.communicate()
            except Exception as error:  # noqa: BLE001 - the next one must be answered
                LOG.debug("a health check broke: %r", error)
            if keep:
                self.put_conn(conn)
            else:
                with contextlib.suppress(OSError):
                    conn.close()


def _first_bytes(sock: Any) -> bytes | None:
    """Return the first bytes that wait on a socket, without taking them; None when there are none yet."""
    if isinstance(sock, ssl.SSLSocket):
        return b""
    timeout = sock.gettimeout()
    sock.setblocking(False)
    try:
        return bytes(sock.recv(len(_HEALTH_REQUEST), socket.MSG_PEEK))
    except BlockingIOError:
        return None
    except OSError:
        return b""
    finally:
        sock.settimeout(timeout)


def build(conf: cfg.ConfigOpts, app: object) -> Server:
    """Return a server for `app`, not listening yet."""
    options = conf.api
    server = Server((options.bind_host, options.bind_port), app, numthreads=options.threads,
                    request_queue_size=512, timeout=60, shutdown_timeout=30, server_name="hostler")
    server.gateway = Gateway
    if options.tls_certificate:
        server.ssl_adapter = BuiltinSSLAdapter(options.tls_certificate, options.tls_private_key)
    return server
