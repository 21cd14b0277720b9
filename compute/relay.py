"""The console relay: accepts connections from proxies and connects each to one console of one guest.

Guests' consoles have no ports: the driver returns a connected socket. A proxy connects here, over TLS with a
certificate of its own, and sends `CONNECT <path> HTTP/1.1` with the token as `Authorization: Bearer`; after the answer
200 the connection is the console. Without certificates the relay listens on loopback only.
"""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import re
import socket
import ssl
import threading
from pathlib import Path
from typing import Any

from oslo_config import cfg

from compute.consoles import Passes
from compute.pump import pump
from compute.virt.driver import Driver
from hostler import errors

LOG = logging.getLogger(__name__)
MAX_CONNECTIONS = 256
_HEAD_BYTES = 4096
_HEAD_S = 10
_REQUEST = re.compile(rb"CONNECT (/\S+) HTTP/1\.1\r\n(?:.*\r\n)*?Authorization: Bearer (\S+)\r\n(?:.*\r\n)*\r\n")
_STATUS = ((errors.Forbidden, "403 Forbidden"), (errors.NotFound, "404 Not Found"),
           (errors.AgentError, "409 Conflict"), (errors.Invalid, "400 Bad Request"),
           (errors.HostlerError, "503 Service Unavailable"))


class ConsoleRelay:
    """One host's relay. `start` and `stop` are called once each."""

    def __init__(self, driver: Driver, passes: Passes, options: cfg.ConfigOpts.GroupAttr) -> None:
        self._driver = driver
        self._passes = passes
        self._host, self._port = options.relay_host, options.relay_port
        self._address = options.proxyclient_address or options.relay_host
        self._tls_dir = options.tls_dir
        self._proxy_names = frozenset(options.proxy_names)
        self._context: ssl.SSLContext | None = None
        self._listener: socket.socket | None = None
        self._stopped = threading.Event()
        self._places = threading.BoundedSemaphore(MAX_CONNECTIONS)

    def where(self) -> tuple[str, int]:
        """Return the address and port at which proxies reach it; raises Unavailable when it is not listening."""
        listener = self._listener
        if listener is None:
            raise errors.Unavailable(part="The console relay")
        return self._address, listener.getsockname()[1]

    def start(self) -> None:
        """Listen; raises AgentError with what the operator must change."""
        if self._tls_dir:
            self._context = _server_context(Path(self._tls_dir))
        elif not _is_loopback(self._host):
            raise errors.AgentError(reason=f"[console] relay_host is {self._host}: set [console] tls_dir (see "
                                           "hostler-manage pki-issue), or the relay would be open to the network.")
        try:
            family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
            self._listener = socket.create_server((self._host, self._port), family=family)
        except OSError as error:
            raise errors.AgentError(reason=f"The console relay cannot listen at {self._host}, port {self._port}: "
                                           f"{error.strerror}. See [console] relay_host and relay_port.") from error
        threading.Thread(target=self._accept, args=(self._listener,), name="console-relay", daemon=True).start()

    def stop(self) -> None:
        """Stop listening and end all open connections."""
        self._stopped.set()
        listener, self._listener = self._listener, None
        if listener is not None:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def _accept(self, listener: socket.socket) -> None:
        while not self._stopped.is_set():
            try:
                connection, _ = listener.accept()
            except OSError as error:
                if not self._stopped.wait(0.1):
                    LOG.warning("The console relay could not accept a connection: %s", error)
                continue
            if not self._places.acquire(blocking=False):
                LOG.warning("The console relay has %d connections already; one more was refused", MAX_CONNECTIONS)
                connection.close()
                continue
            threading.Thread(target=self._serve, args=(connection,), name="console", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            connection.settimeout(_HEAD_S)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
            with contextlib.closing(connection):
                self._join(connection)
        except OSError as error:  # ssl.SSLError is one
            LOG.info("A connection to the console relay ended: %s", error)
        finally:
            connection.close()
            self._places.release()

    def _join(self, connection: socket.socket) -> None:
        try:
            self._check_proxy(connection)
            path, token = _read_request(connection)
            server_id, protocol = self._passes.check(path, token)
            console = self._driver.open_console(server_id, protocol)
        except errors.HostlerError as error:
            LOG.info("A console was not opened: %s", error)
            status = next(status for family, status in _STATUS if isinstance(error, family))
            connection.sendall(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())
            return
        LOG.info("Console %s of server %s opened", protocol, server_id)
        with contextlib.closing(console):
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            pump(connection, console, self._stopped)
        LOG.info("Console %s of server %s closed", protocol, server_id)

    def _check_proxy(self, connection: socket.socket) -> None:
        if not self._proxy_names or not isinstance(connection, ssl.SSLSocket):
            return
        subject: Any = (connection.getpeercert() or {}).get("subject", ())
        names = {value for part in subject for name, value in part if name == "commonName"}
        if not names & self._proxy_names:
            raise errors.Forbidden(f"{', '.join(sorted(names))} is not a console proxy.", action="console")


def _read_request(connection: socket.socket) -> tuple[str, str]:
    """Return (path, token) from the request's head; the proxy sends nothing more until it has the answer."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        data = connection.recv(_HEAD_BYTES)
        head += data
        if not data or len(head) > _HEAD_BYTES:
            raise errors.Invalid(reason="not a console proxy's request")
    match = _REQUEST.fullmatch(head)
    if match is None:
        raise errors.Invalid(reason="not a console proxy's request")
    return match[1].decode("latin-1"), match[2].decode("latin-1")


def _server_context(directory: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    try:
        context.load_verify_locations(directory / "ca-cert.pem")
        context.load_cert_chain(directory / "server-cert.pem", directory / "server-key.pem")
    except OSError as error:
        raise errors.AgentError(reason=f"[console] tls_dir {directory} cannot be used: {error}. Make its files with "
                                       "hostler-manage pki-issue.") from error
    return context


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
