"""Connections are counted in total and by address."""

from __future__ import annotations

import requests

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
