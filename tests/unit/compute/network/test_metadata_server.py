"""Requests over loopback: who asks decides what is answered; no guest can starve the others."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from compute import metadata
from compute.network import metadata_server
from compute.network.metadata_server import MetadataServer
from hostler import errors
from tests.harness import network_factories as factories


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> socket.socket:
    """A listening socket on loopback in place of one inside a namespace."""
    made = socket.create_server(("127.0.0.1", 0))
    made.setblocking(False)
    monkeypatch.setattr(metadata_server.namespaces, "identity", lambda path: (1, 1))
    monkeypatch.setattr(metadata_server.namespaces, "run_inside", lambda path, work: [made])
    return made


@pytest.fixture
def server(listener: socket.socket) -> Iterator[MetadataServer]:
    tree = metadata.documents(factories.server())

    def take(network_id: str, source: str, text: str) -> bool | None:
        if (network_id, source) != ("net-1", "127.0.0.1"):
            return None
        if text == "late":
            raise errors.Silent(part="The conductor", host="c")
        posted.append(text)
        return len(posted) == 1

    posted: list[str] = []
    made = MetadataServer(lambda network_id, source: tree if (network_id, source) == ("net-1", "127.0.0.1") else None,
                          take)
    yield made
    made.close()


def ask(listener: socket.socket, path: str, method: str = "GET", body: str | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(*listener.getsockname(), timeout=5)
    connection.request(method, path, body)
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_documents_listings_and_the_unknown(server: MetadataServer, listener: socket.socket) -> None:
    server.listen("net-1", Path("/ns"))
    server.listen("net-1", Path("/ns"))
    assert ask(listener, "/latest/meta-data/hostname?x=1") == (200, b"web1")
    assert ask(listener, "/latest/meta-data/hostname", "HEAD") == (200, b"")
    assert b"latest" in ask(listener, "/")[1]
    assert ask(listener, "/etc/passwd")[0] == 404
    assert ask(listener, "/latest/../../etc/passwd")[0] == 404
    assert ask(listener, "/latest/meta-data/hostname", "PUT")[0] == 405


@pytest.mark.contract("N-PASSWORD")
def test_a_password_is_taken_once_and_nothing_else(server: MetadataServer, listener: socket.socket) -> None:
    server.listen("net-1", Path("/ns"))
    path = "/openstack/2013-04-04/password"
    assert ask(listener, path) == (200, b"")
    for body, status in (("late", 503), ("x" * 1021, 400), ("\u00e9", 400), ("c2VjcmV0", 200), ("b3RoZXI=", 409)):
        assert ask(listener, path, "POST", body)[0] == status, body
    for other in ("/openstack/2012-08-10/password", "/openstack/latest/user_data", "/latest/password"):
        assert ask(listener, other, "POST", "c2VjcmV0")[0] == 405


def test_a_stranger_gets_nothing(server: MetadataServer, listener: socket.socket) -> None:
    server.listen("net-2", Path("/ns"))
    assert ask(listener, "/latest/meta-data/hostname")[0] == 404


def test_silent_connections_of_a_guest_are_bounded(server: MetadataServer, listener: socket.socket) -> None:
    server.listen("net-1", Path("/ns"))
    idle = [socket.create_connection(listener.getsockname()) for _ in range(metadata_server._PER_GUEST)]
    one_more = socket.create_connection(listener.getsockname(), timeout=5)
    assert one_more.recv(10) == b""
    for connection in (*idle, one_more):
        connection.close()


def test_stop_and_close_end_listening_and_the_thread(server: MetadataServer, listener: socket.socket) -> None:
    server.listen("net-1", Path("/ns"))
    address = listener.getsockname()
    server.stop("net-1")
    server.stop("net-1")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, timeout=2)
    server.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "metadata"]
