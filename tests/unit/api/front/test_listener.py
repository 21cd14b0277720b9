"""Connections are counted in total and by address."""

from __future__ import annotations

import threading
from typing import Any

import requests

from api.front.gateway import AUTHENTICATED
from tests.harness import raw_http
from tests.harness.front import echo, serving


def test_by_address_and_in_total() -> None:
    with serving(echo, connections_per_address=3, max_connections=5) as url, \
            raw_http.connections(url, 4, source="127.0.0.2") as one, \
            raw_http.connections(url, 3, source="127.0.0.3") as other:
        assert not any(raw_http.is_open(client, wait_s=5) for client in (one[3], other[2]))
        assert all(raw_http.is_open(client, wait_s=0.1) for client in (*one[:3], *other[:2]))


def test_a_closed_connection_makes_room_and_a_proxy_has_no_limit() -> None:
    with serving(echo, connections_per_address=1) as url:
        for _ in range(5):
            assert requests.get(url, headers={"Connection": "close"}, timeout=30).status_code == 200
    with serving(echo, connections_per_address=1, trusted_proxies=["127.0.0.1"]) as url, \
            raw_http.connections(url, 5) as clients:
        assert all(raw_http.is_open(client, 0.1) for client in clients)


PUT = (b"PUT /image HTTP/1.1\r\nHost: c\r\nContent-Type: application/octet-stream\r\nContent-Length: 100000\r\n\r\n"
       + b"x" * 50000)


def test_strangers_make_room_for_others_and_known_clients_stay() -> None:
    """Given four strangers at most, when more come, then the oldest of the address with most end, and nobody else."""
    over = threading.Event()

    def check(environ: dict[str, Any]) -> tuple[str, list[bytes]]:
        if environ["REQUEST_METHOD"] == "PUT":
            over.wait(60)  # its connection is not read from, and does not see its own end
        elif environ["PATH_INFO"] == "/token" and AUTHENTICATED in environ:
            environ[AUTHENTICATED]()
        return "200 OK", [b""]

    with serving(check, unauthenticated_connections=4) as url, requests.Session() as known, \
            raw_http.connect(url, "127.0.0.2") as insider:
        assert known.get(f"{url}/token", timeout=30).status_code == 200
        insider.sendall(b"GET /token HTTP/1.1\r\nHost: c\r\n\r\n")
        assert b"200 OK" in insider.recv(65536)
        with raw_http.connections(url, 2, PUT, "127.0.0.3") as few, \
                raw_http.connections(url, 10, PUT, "127.0.0.2") as many:
            assert not any(raw_http.is_open(client, wait_s=10) for client in many[:8])
            assert all(raw_http.is_open(client, wait_s=0.1) for client in (insider, *few, *many[8:]))
            assert requests.get(url, timeout=30).status_code == 200
            assert known.get(url, timeout=30).status_code == 200
            over.set()
