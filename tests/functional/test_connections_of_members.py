"""A connection on which a valid token has come makes no room for strangers."""

from __future__ import annotations

import socket
from pathlib import Path

from tests.harness import raw_http
from tests.harness.client import Client
from tests.harness.inprocess import ADMIN_PASSWORD, Cloud


def _ask(connection: socket.socket, token: str) -> int | None:
    connection.sendall(b"GET /identity/v3/users HTTP/1.1\r\nHost: c\r\nX-Auth-Token: %s\r\n\r\n" % token.encode())
    status = raw_http.status(connection)
    connection.recv(65536)
    return status


def test_a_valid_token_keeps_the_connection(tmp_path: Path) -> None:
    """Given room for one stranger, when more come, then a member's connection stays; one with a bad token ends."""
    cloud = Cloud(tmp_path, hosts=0, nodes=0, overrides={"api.unauthenticated_connections": 1})
    client = cloud.start()
    try:
        token = str(client._session.headers["X-Auth-Token"])
        with raw_http.connect(cloud.url) as member:
            assert _ask(member, token) == 200
            with raw_http.connect(cloud.url) as stranger:
                assert _ask(stranger, "bad") == 401
                with raw_http.connections(cloud.url, 2):
                    assert not raw_http.is_open(stranger, wait_s=10)
                    assert _ask(member, token) == 200
        assert Client(cloud.url, "admin", ADMIN_PASSWORD, "admin").try_login()
    finally:
        cloud.stop()
