"""The HTTP server under the application: cheroot, with an eye on bodies that nobody reads.

cheroot reads what a handler left of a body before it answers, to keep the connection. For a large upload that is
refused at once (no token, no such image) it would take it all into memory: such a connection is closed instead.
"""

from __future__ import annotations

from typing import Any

from cheroot import wsgi
from cheroot.ssl.builtin import BuiltinSSLAdapter
from oslo_config import cfg

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


def build(conf: cfg.ConfigOpts, app: object) -> wsgi.Server:
    """Return a server for `app`, not listening yet."""
    options = conf.api
    server = wsgi.Server((options.bind_host, options.bind_port), app, numthreads=options.threads,
                         request_queue_size=512, timeout=60, shutdown_timeout=30, server_name="hostler")
    server.gateway = Gateway
    if options.tls_certificate:
        server.ssl_adapter = BuiltinSSLAdapter(options.tls_certificate, options.tls_private_key)
    return server
