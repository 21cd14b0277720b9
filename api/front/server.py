"""Builds, starts and stops the HTTP server; it runs on a thread, beside whatever else the process does."""

from __future__ import annotations

import asyncio
import functools
import logging
import signal
from asyncio import sslproto
from typing import Any, Final

import uvicorn
from oslo_config import cfg
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from api.front.gateway import SMALL_BYTES, Application, Gateway
from api.front.idle import IdleConnections
from api.front.listener import Listener, listen
from api.front.protocol import Limits, Protocol
from api.front.strangers import Strangers

LOG = logging.getLogger(__name__)

# How long requests under way may take when the process stops.
_GRACE_S: Final = 30
_TICKS_PER_S: Final = 10
# A TLS connection's buffer, which it has from its first moment. asyncio's 256 KiB would be half a gigabyte for as many
# silent clients as may connect.
_TLS_BUFFER_BYTES: Final = 16384


class _Uvicorn(uvicorn.Server):
    """uvicorn's own server, which also ends connections whose clients are late."""

    async def on_tick(self, counter: int) -> bool:
        """Compare each connection's deadline with the clock, once a second."""
        if counter % _TICKS_PER_S == 0:
            now = asyncio.get_running_loop().time()
            for connection in list(self.server_state.connections):
                _sweep(connection, now)
        return await super().on_tick(counter)


def _sweep(connection: Any, now: float) -> None:
    try:
        connection.sweep(now)
    except Exception:  # whatever a client brings about ends its own connection, not the server for everybody
        LOG.exception("a connection is ended")
        connection.transport.abort()


class HttpServer:
    """`prepare`, then `serve` on a thread of its own, then `stop` from any other."""

    def __init__(self, conf: cfg.ConfigOpts, app: Application) -> None:
        self._conf = conf
        options = conf.api
        self._gateway = Gateway(app, threads=options.threads, max_body_bytes=options.max_body_bytes)
        gateway: Any = self._gateway  # its types are plain ones, uvicorn's are its own
        proxies = options.trusted_proxies
        self._strangers, self._idle = Strangers(options.unauthenticated_connections), IdleConnections()
        limits = Limits(header_bytes=options.max_header_bytes, header_timeout_s=options.header_timeout,
                        request_timeout_s=options.request_timeout, keep_alive_s=options.keep_alive_timeout,
                        bytes_per_s=options.min_upload_rate, small_bytes=min(SMALL_BYTES, options.max_body_bytes),
                        strangers=self._strangers, idle=self._idle, exempt=self._is_proxy)
        protocol: Any = functools.partial(Protocol, limits)
        self._config = uvicorn.Config(
            gateway, http=protocol, ws="none", loop="asyncio", lifespan="off", interface="asgi3", log_config=None,
            access_log=False, server_header=False, proxy_headers=bool(proxies), forwarded_allow_ips=proxies,
            timeout_keep_alive=options.keep_alive_timeout, timeout_graceful_shutdown=_GRACE_S,
            ssl_certfile=options.tls_certificate or None, ssl_keyfile=options.tls_private_key or None)
        self._trusted = ProxyHeadersMiddleware(gateway, proxies).trusted_hosts if proxies else ()
        self._server = _Uvicorn(self._config)
        self._listener: Listener | None = None

    @property
    def port(self) -> int:
        """The port that is listened at (useful when the configured one is 0)."""
        assert self._listener is not None, "prepare() listens"
        return int(self._listener.getsockname()[1])

    def prepare(self) -> None:
        """Listen; raises OSError when the address is taken or the certificate cannot be read."""
        self._config.load()
        sslproto.SSLProtocol.max_size = _TLS_BUFFER_BYTES
        self._listener = listen(self._conf, self._is_proxy, self._strangers, self._idle)

    def _is_proxy(self, address: str) -> bool:
        return address in self._trusted

    def serve(self) -> None:
        """Serve until `stop` is called and the requests under way are finished."""
        assert self._listener is not None, "prepare() listens"
        try:
            asyncio.run(self._server.serve(sockets=[self._listener]))
        except Exception:
            # A process that lives without it would look well to everybody but clients.
            LOG.exception("the HTTP server has ended, and the process with it")
            signal.raise_signal(signal.SIGTERM)
        finally:
            self._gateway.close()

    def stop(self) -> None:
        """Ask `serve` to end."""
        self._server.should_exit = True
