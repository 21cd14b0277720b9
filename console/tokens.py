"""The token plugin: what a token opens, and the connection to it.

Tokens are read from the database, by one statement that also marks them as used, so that only one of two proxies wins.
Asking a conductor instead would add a hop and make consoles depend on the broker; as a control service the proxy has
the database's address anyway.
"""

from __future__ import annotations

import logging
import socket
import ssl
from pathlib import Path

import sqlalchemy as sa
from oslo_config import cfg
from sqlalchemy import orm
from websockify.token_plugins import BasePlugin

from hostler import errors
from hostler.audit import events
from hostler.audit.trail import Trail
from hostler.db.engine import Database
from hostler.db.models import Host
from hostler.resources.server import consoles
from hostler.resources.server.consoles import Target

LOG = logging.getLogger(__name__)
_CONNECT_S = 10
_HEAD_BYTES = 1024


class TokenPlugin(BasePlugin):  # type: ignore[misc]
    """Opens the consoles that tokens stand for."""

    def __init__(self, conf: cfg.ConfigOpts, db: Database, trail: Trail) -> None:
        super().__init__(None)
        self._db = db
        self._trail = trail
        self._observer = conf.host
        self._single_use = conf.console.single_use
        self._tls_dir = Path(conf.console.tls_dir) if conf.console.tls_dir else None

    def lookup(self, token: str) -> tuple[str, int] | None:
        """Return (address, port) of a token's host without using the token; None when it opens nothing."""
        with self._db.reading() as session:
            target = consoles.find(session, token)
        return (target.address, target.port) if target is not None else None

    def open(self, token: str, client: str) -> socket.socket:
        """Return a connection to the console; raises Forbidden for a token that opens nothing, and Unavailable."""
        def take(session: orm.Session) -> tuple[Target, str | None] | None:
            target = consoles.take(session, token, client, single_use=self._single_use)
            return None if target is None else (target, session.scalar(
                sa.select(Host.name).where(Host.id == target.host_id)))

        taken = self._db.write(take)
        if taken is None:
            LOG.info("%s presented a token that opens no console", client)
            raise errors.Forbidden("This console's URL has expired, was used, or its server is gone.", action="console")
        target, host = taken
        try:
            connection = self._connect(target, host or "", token)
        except (OSError, ValueError, errors.Unavailable) as error:
            LOG.warning("Console %s of server %s cannot be reached on host %s: %s", target.protocol, target.server_id,
                        host, error)
            self._note(target, client, 503)
            raise errors.Unavailable(part="The console") from error
        LOG.info("%s opened console %s of server %s on host %s", client, target.protocol, target.server_id, host)
        self._note(target, client, 200)
        return connection

    def _connect(self, target: Target, host: str, token: str) -> socket.socket:
        connection = socket.create_connection((target.address, target.port), timeout=_CONNECT_S)
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if self._tls_dir is not None:
                connection = _client_context(self._tls_dir).wrap_socket(connection, server_hostname=host)
            _ask(connection, target.access_path, token)
        except BaseException:
            connection.close()
            raise
        return connection

    def _note(self, target: Target, client: str, status: int) -> None:
        if self._trail.enabled:
            initiator = events.Initiator(id=target.user_id, project_id=target.project_id, address=client)
            self._trail.put(events.make(
                service="console", noun=f"{target.protocol}-console", verb="opened", status=status,
                initiator=initiator, target_id=target.server_id, path="/", observer=self._observer, beside={}))


def _ask(connection: socket.socket, path: str, token: str) -> None:
    """Have the host's relay connect us to the console (`compute.relay`)."""
    connection.sendall(f"CONNECT {path} HTTP/1.1\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
    head = b""
    # Byte by byte: what follows the head belongs to the console.
    while not head.endswith(b"\r\n\r\n"):
        data = connection.recv(1)
        head += data
        if not data or len(head) > _HEAD_BYTES:
            raise errors.Unavailable("The host's relay closed the connection.")
    status = head.split(b"\r\n", 1)[0].decode("latin-1")
    if " 200 " not in status:
        raise errors.Unavailable(f"The host's relay answered {status}.")


def _client_context(directory: Path) -> ssl.SSLContext:
    """Return a context that presents this machine's certificate and accepts only the intended host."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(directory / "ca-cert.pem")
    context.load_cert_chain(directory / "client-cert.pem", directory / "client-key.pem")
    return context
