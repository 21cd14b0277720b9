"""Answers guests' metadata requests: HTTP on port 80 in each network's namespace, served by the agent's process.

A listening socket is opened inside the namespace (and so belongs to it); one thread waits on all of them, and each
connection gets a short thread of its own. The caller is known by its network and source address, which anti-spoofing
guarantees. It may ask for what is in `compute.metadata`'s tree; everything else is 404. A guest may hold few
connections at a time, each for a bounded time, so that it cannot starve the others.
"""

from __future__ import annotations

import collections
import contextlib
import logging
import selectors
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from compute import metadata
from compute.network import namespaces, sysctl
from hostler import errors

LOG = logging.getLogger(__name__)

_PORT = 80
_IDLE_S = 5
_PER_GUEST = 8
_BACKLOG = 64

Find = Callable[[str, str], dict[str, bytes] | None]
Take = Callable[[str, str, str], bool | None]


class MetadataServer:
    """Listens for many networks.

    `find(network_id, source_ip)` returns the asking server's documents, or None; `take(network_id, source_ip, text)`
    keeps the password that it posts: False when there is one already, None for a stranger.
    """

    def __init__(self, find: Find, take: Take) -> None:
        self._find = find
        self._take = take
        self._lock = threading.Lock()
        self._listeners: dict[str, tuple[list[socket.socket], tuple[int, int]]] = {}
        self._busy: collections.Counter[tuple[str, str]] = collections.Counter()
        self._selector = selectors.DefaultSelector()
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._selector.register(self._wake_reader, selectors.EVENT_READ, None)
        self._thread: threading.Thread | None = None

    def listen(self, network_id: str, namespace: Path, wanted: bool = True) -> None:
        """Answer in the namespace at `namespace`, unless it does already; not any more when that is not `wanted`."""
        if not wanted:
            self.stop(network_id)
            return
        identity = namespaces.identity(namespace)
        with self._lock:
            present = self._listeners.get(network_id)
            if present is not None and present[1] == identity:
                return
            self._drop(network_id)
            listeners = namespaces.run_inside(namespace, _open_listeners)
            self._listeners[network_id] = (listeners, identity)
            for listener in listeners:
                self._selector.register(listener, selectors.EVENT_READ, network_id)
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="metadata", daemon=True)
                self._thread.start()

    def stop(self, network_id: str) -> None:
        """Stop answering in one network; does nothing if it did not."""
        with self._lock:
            self._drop(network_id)

    def close(self) -> None:
        """Stop answering at all."""
        with self._lock:
            for network_id in list(self._listeners):
                self._drop(network_id)
            thread, self._thread = self._thread, None
        self._wake_writer.close()
        if thread is not None:
            thread.join()
        else:
            self._wake_reader.close()
            self._selector.close()

    def _drop(self, network_id: str) -> None:
        present = self._listeners.pop(network_id, None)
        if present is not None:
            for listener in present[0]:
                self._selector.unregister(listener)
                listener.close()

    def _serve(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.data is None:
                    # The other end was closed: `close`.
                    self._wake_reader.close()
                    self._selector.close()
                    return
                self._accept(key.data, key.fileobj)

    def _accept(self, network_id: str, listener: Any) -> None:
        try:
            connection, address = listener.accept()
        except OSError as failure:
            # The guest went away, or `stop` closed the listener, between the report and now.
            LOG.debug("Metadata connection in network %s lost: %s", network_id, failure)
            return
        # A link-local address names the interface, too, of which a namespace has one.
        guest = (network_id, address[0].partition("%")[0])
        with self._lock:
            if self._busy[guest] >= _PER_GUEST:
                LOG.warning("Guest %s in network %s holds %d metadata connections, refusing more", address[0],
                            network_id, _PER_GUEST)
                connection.close()
                return
            self._busy[guest] += 1
        threading.Thread(target=self._answer, args=(connection, guest), name="metadata-request", daemon=True).start()

    def _answer(self, connection: socket.socket, guest: tuple[str, str]) -> None:
        try:
            # A guest may hang up early.
            with connection, contextlib.suppress(OSError):
                connection.setblocking(True)
                _Handler(connection, guest, lambda: self._find(*guest), lambda text: self._take(*guest, text))
        finally:
            with self._lock:
                self._busy[guest] -= 1
                if not self._busy[guest]:
                    del self._busy[guest]


def _open_listeners() -> list[socket.socket]:
    """Listen at every address the namespace has or will have, of each family that the kernel speaks."""
    listeners = []
    for family, anywhere in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        if family == socket.AF_INET6 and not sysctl.ipv6_available():
            continue
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((anywhere, _PORT))
        listener.listen(_BACKLOG)
        listener.setblocking(False)
        listeners.append(listener)
    return listeners


class _Handler(BaseHTTPRequestHandler):
    """One request on one connection."""

    server_version = "Hostler"
    sys_version = ""
    timeout = _IDLE_S

    def __init__(self, connection: socket.socket, guest: tuple[str, str],
                 find: Callable[[], dict[str, bytes] | None], take: Callable[[str], bool | None]) -> None:
        self._find = find
        self._take = take
        self._guest = guest
        super().__init__(connection, guest, None)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        """Answer with the document or listing at the path."""
        self._reply(with_body=True)

    def do_HEAD(self) -> None:
        """Answer as GET would, without the body."""
        self._reply(with_body=False)

    def do_PUT(self) -> None:
        """Refuse: guests may read (the token of EC2's second version is not offered, either)."""
        self._end(405, Allow="GET, HEAD")

    do_DELETE = do_PUT

    def do_POST(self) -> None:
        """Keep a password; nothing else may be written."""
        if not metadata.is_password(self.path.partition("?")[0]):
            self.do_PUT()
            return
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > metadata.MAX_PASSWORD_BYTES:
            self._end(400)
            return
        try:
            taken = self._take(self.rfile.read(int(length)).decode("ascii"))
        except UnicodeDecodeError:
            self._end(400)
        except errors.HostlerError as error:
            LOG.warning("The password that guest %s posted was not kept: %s", self._guest[1], error.details)
            self._end(503)
        else:
            self._end({None: 404, False: 409, True: 200}[taken])

    def _end(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": "0", "Connection": "close"}.items():
            self.send_header(name, value)
        self.end_headers()

    def _reply(self, with_body: bool) -> None:
        tree = self._find()
        answer = metadata.answer(tree, self.path.partition("?")[0]) if tree is not None else None
        if answer is None:
            answer = metadata.Answer(b"404 Not Found\n")
            self.send_response(404)
        else:
            self.send_response(200)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("Connection", "close")
        self.end_headers()
        if with_body:
            self.wfile.write(answer.body)

    def log_message(self, format: str, *args: Any) -> None:
        """Log requests at debug level: they are many, and the guest's own business."""
        LOG.debug("Metadata request of %s in network %s: " + format, self._guest[1], self._guest[0], *args)
