"""The server listens where it is configured to, or says why not."""

from __future__ import annotations

import pytest
import requests

from tests.harness.front import echo, serving


def test_ipv6_and_a_taken_port() -> None:
    with serving(echo, bind_host="::1") as url:
        port = int(url.rsplit(":", 1)[1])
        assert requests.get(f"http://[::1]:{port}/", timeout=30).status_code == 200
        with pytest.raises(OSError), serving(echo, bind_host="::1", bind_port=port):
            pass


def test_a_certificate_that_cannot_be_read_is_said_at_the_start() -> None:
    with pytest.raises(OSError), serving(echo, tls_certificate="/nowhere.pem", tls_private_key="/nowhere.pem"):
        pass


def test_an_answer_does_not_wait_for_acknowledgements() -> None:
    """Given a kept connection, when many requests are sent one by one, then none takes the 40 ms of a delayed ACK."""
    def take_s(url: str) -> float:
        with requests.Session() as session:
            return sorted(session.get(url, timeout=30).elapsed.total_seconds() for _ in range(20))[5]

    with serving(echo) as url:
        # A busy machine may be as slow for a while; waiting for acknowledgements would be as slow each time.
        assert any(take_s(url) < 0.03 for _ in range(20))
