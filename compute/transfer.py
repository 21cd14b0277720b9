"""Files of moving servers, from agent to agent over TLS with the hosts' certificates (`hostler.pki`).

The source serves what it set aside, `/<server id>/<file>`, and the image that a root disk builds on, to one host
alone: the one that the offer beside the files names, known by the common name of its client certificate. The target
asks for what it has not got yet by range, so that a broken connection costs no more than what was under way, and
compares the checksum at the end.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import logging
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol

from oslo_config import cfg

from compute.layout import Layout
from hostler import errors, ids
from hostler.agent import programs
from hostler.agent.files import create_private, publish, write_atomically
from hostler.context import RequestContext

LOG = logging.getLogger(__name__)
OFFER: Final = "offer.json"
CHUNK = 1 << 20
COPY_TIMEOUT_S = 3600.0
CONNECT_S = 10.0
IDLE_S = 60.0  # between two reads or writes
PATIENCE_S = 120.0  # without a byte, whatever the number of tries
PAUSE_S = (0.2, 5.0)
_RANGE = re.compile(r"bytes=(\d{1,18})-")
_FILES = ("ca-cert.pem", "server-cert.pem", "server-key.pem", "client-cert.pem", "client-key.pem")


class Transfer(Protocol):
    """How files of servers come from other hosts."""

    def place(self) -> dict[str, Any]:
        """Return where this host serves files: {"host", "ip", "port"}."""

    def fetch(self, offer: dict[str, Any], server_id: str, file: dict[str, Any], path: Path,
              check: Callable[[], None]) -> None:
        """Make `path` the offered `file`, whole; `check` is called now and then, and may raise. Raises AgentError."""

    def start(self) -> None:
        """Serve."""

    def stop(self) -> None:
        """Serve no more."""


class TlsTransfer:
    """Implements `Transfer` between real hosts."""

    def __init__(self, conf: cfg.ConfigOpts, layout: Layout) -> None:
        self._host = conf.host
        self._options = conf.compute
        self._layout = layout
        self._server: _Server | None = None

    @property
    def _directory(self) -> Path | None:
        return Path(self._options.tls_dir) if self._options.tls_dir else None

    def place(self) -> dict[str, Any]:
        """Return this host's name and where it listens."""
        return {"host": self._host, "ip": self._options.my_ip, "port": self._options.transfer_port}

    def start(self) -> None:
        """Listen, where the host has certificates. Raises AgentError with what the operator must do."""
        if self._directory is None:
            return
        missing = [name for name in _FILES if not (self._directory / name).is_file()]
        if missing:
            raise errors.AgentError(reason=f"[compute] tls_dir {self._directory} has no {', '.join(missing)}; make "
                                           "them with hostler-manage pki issue.")
        try:
            self._server = _Server((self._options.my_ip, self._options.transfer_port), self._layout, self._directory)
        except OSError as error:
            raise errors.AgentError(reason=f"[compute] transfer_port {self._options.transfer_port} of "
                                           f"{self._options.my_ip} cannot be served: {error.strerror}.") from error
        threading.Thread(target=self._server.serve_forever, name="transfer", daemon=True).start()

    def stop(self) -> None:
        """Close the listening socket; the other end goes on where it was when this agent is back."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def fetch(self, offer: dict[str, Any], server_id: str, file: dict[str, Any], path: Path,
              check: Callable[[], None]) -> None:
        """Copy a file of this host, or fetch it from its own."""
        if path.exists():
            return  # it got its name after it was compared
        part = path.with_name(f"{path.name}.part")
        if offer["host"] == self._host:
            part.unlink(missing_ok=True)
            create_private(part)
            source = self._layout.aside(server_id) / file["name"]
            programs.run(["cp", "--sparse=always", "--reflink=auto", str(source), str(part)], timeout_s=COPY_TIMEOUT_S)
        else:
            self._download(offer, server_id, file, part, check)
        if sha256_of(part) != file["sha256"]:
            part.unlink()
            raise errors.AgentError(reason=f"The server's file {file['name']} arrived with a wrong checksum.")
        publish(part, path)

    def _download(self, offer: dict[str, Any], server_id: str, file: dict[str, Any], part: Path,
                  check: Callable[[], None]) -> None:
        if self._directory is None:
            raise errors.AgentError(reason=no_certificates(self._host))
        if not part.exists():
            create_private(part)
        deadline = time.monotonic() + PATIENCE_S
        pause_s, longest_s = PAUSE_S
        while (have := part.stat().st_size) < file["size"]:
            check()
            try:
                self._fetch_rest(offer, f"/{server_id}/{file['name']}", part, have, check)
            except (OSError, http.client.HTTPException) as error:
                LOG.warning("Server %s: %s was interrupted at %d of %d bytes and goes on: %s", server_id, file["name"],
                            part.stat().st_size, file["size"], error)
                if part.stat().st_size > have:
                    deadline, pause_s = time.monotonic() + PATIENCE_S, PAUSE_S[0]
                if time.monotonic() >= deadline:
                    raise errors.AgentError(
                        reason=f"Host {offer['host']} sends nothing of the server's files any more.") from error
                time.sleep(pause_s)
                pause_s = min(pause_s * 2, longest_s)

    def _fetch_rest(self, offer: dict[str, Any], path: str, part: Path, have: int, check: Callable[[], None]) -> None:
        assert self._directory is not None
        connection = _Connection(offer["ip"], offer["port"], offer["host"], _client_context(self._directory))
        with contextlib.closing(connection), part.open("r+b") as sink:
            connection.request("GET", path, headers={"Range": f"bytes={have}-"})
            response = connection.getresponse()
            if response.status != http.client.PARTIAL_CONTENT:
                raise errors.AgentError(reason=f"Host {offer['host']} refuses the server's files ({response.status}).")
            sink.seek(have)
            while block := response.read(CHUNK):
                _keep(sink, block)
                check()


def _keep(sink: BinaryIO, block: bytes) -> None:
    try:
        # A chunk of zeros leaves a hole.
        if block.count(0) != len(block):
            sink.write(block)
        else:
            sink.seek(len(block), 1)
        sink.flush()
        sink.truncate(sink.tell())
    except OSError as error:
        # To ask the source again would not help.
        raise errors.AgentError(reason="The server's files could not be kept on their new host: "
                                       f"{error.strerror or 'I/O error'}.") from error


def keep_offer(directory: Path, to_host: str, context: RequestContext, files: Sequence[dict[str, Any]],
               base: dict[str, Any] | None) -> dict[str, Any]:
    """Keep beside a server's files what `to_host` may fetch of them, and return that; it outlives a restart."""
    offer = {"to": to_host, "operation": context.operation_id, "files": files, "base": base}
    write_atomically(directory / OFFER, json.dumps(offer).encode())
    return offer


def sha256_of(path: Path) -> str:
    """Return the checksum of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def no_certificates(host: str) -> str:
    """Return why a host without certificates takes part in no move between hosts."""
    return (f"Host {host} neither sends nor takes disks of servers: its operator must set [compute] tls_dir (see "
            "hostler-manage pki).")


class _Connection(http.client.HTTPConnection):
    """HTTP over TLS to a host that is known by its name, whatever its address."""

    def __init__(self, ip: str, port: int, name: str, context: ssl.SSLContext) -> None:
        super().__init__(ip, port, timeout=IDLE_S)
        self._name = name
        self._context = context

    def connect(self) -> None:
        """Connect; the peer's certificate must carry its name."""
        plain = socket.create_connection((self.host, self.port), CONNECT_S)
        self.sock = self._context.wrap_socket(plain, server_hostname=self._name)
        self.sock.settimeout(IDLE_S)


def _client_context(directory: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(directory / "ca-cert.pem"))
    context.load_cert_chain(directory / "client-cert.pem", directory / "client-key.pem")
    return context


def _server_context(directory: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(directory / "ca-cert.pem")
    context.load_cert_chain(directory / "server-cert.pem", directory / "server-key.pem")
    return context


class _Server(ThreadingHTTPServer):
    """Reads the certificates for each connection, so that renewed ones take effect with the next."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], layout: Layout, directory: Path) -> None:
        self.layout = layout
        self._directory = directory
        super().__init__(address, _Handler)

    def get_request(self) -> tuple[Any, Any]:
        """Accept; the handshake comes in the connection's own thread."""
        plain, address = super().get_request()
        plain.settimeout(IDLE_S)
        context = _server_context(self._directory)
        return context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False), address

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log; a target that went away asks again."""
        LOG.warning("A transfer to %s broke off", client_address[0], exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def setup(self) -> None:
        """Shake hands before anything is read."""
        self.request.do_handshake()
        super().setup()

    def do_GET(self) -> None:
        """Send a file from an offset on."""
        path = self._offered()
        begin = _RANGE.fullmatch(self.headers.get("Range", "bytes=0-"))
        if path is None or begin is None:
            self.send_error(http.client.FORBIDDEN)
            return
        with path.open("rb") as source:
            size = path.stat().st_size
            offset = min(int(begin[1]), size)
            self.send_response(http.client.PARTIAL_CONTENT)
            self.send_header("Content-Length", str(size - offset))
            self.send_header("Content-Range", f"bytes {offset}-{size - 1}/{size}")
            self.end_headers()
            source.seek(offset)
            while block := source.read(CHUNK):
                self.wfile.write(block)

    def _offered(self) -> Path | None:
        """Return the file asked for when it is offered to the host that asks."""
        _, _, rest = self.path.partition("/")
        server_id, _, name = rest.partition("/")
        if ids.canonical(server_id) != server_id:
            return None
        layout, host = self.server.layout, _common_name(self.request)
        for directory in (layout.aside(server_id), layout.server(server_id)):  # one that moves, one that is sent live
            if (path := _find_offered(directory, name, host, layout)) is not None:
                return path
        LOG.warning("Host %s asked for a file of server %s that is not offered to it", host, server_id)
        return None

    def log_message(self, format: str, *args: Any) -> None:
        """Log for those who look closely."""
        LOG.debug(format, *args)


def _find_offered(directory: Path, name: str, host: str, layout: Layout) -> Path | None:
    try:
        offer = json.loads((directory / OFFER).read_bytes())
    except (OSError, ValueError):
        return None
    places = {file["name"]: directory for file in offer["files"]}
    if (base := offer.get("base")) is not None:
        places[base["name"]] = layout.images
    return places[name] / name if offer["to"] == host and name in places else None


def _common_name(connection: ssl.SSLSocket) -> str:
    subject: Any = (connection.getpeercert() or {}).get("subject", ())
    return next((str(value) for part in subject for key, value in part if key == "commonName"), "")
