"""One address could open any number of connections; with TLS, one that said nothing kept all others from being served.

Connections are counted before the TLS handshake, and no handshake holds up another one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from hostler import clock, pki
from tests.harness import raw_http
from tests.harness.inprocess import Cloud
from tests.harness.ports import wait_for

LIMIT = 256  # the default


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A cloud's control services, over TLS."""
    home = tmp_path_factory.mktemp("cloud")
    chain, key = _certificate(home)
    cloud = Cloud(home, hosts=0, nodes=0, overrides={
        "api.tls_certificate": str(chain), "api.tls_private_key": str(key)})
    cloud.api.start()
    try:
        yield f"https://127.0.0.1:{cloud.api.port}"
    finally:
        cloud.api.stop()
        cloud.bus.close()
        cloud.db.dispose()


def _certificate(home: Path) -> tuple[Path, Path]:
    now = clock.utcnow()
    pki.init_authority(home / "ca", now)
    pki.issue(home / "ca", "api", ["127.0.0.1"], home / "api", now)
    return home / "api" / "server-cert.pem", home / "api" / "server-key.pem"


def test_silent_connections_hold_up_nobody(url: str) -> None:
    """Given connections that never begin a handshake, when another client asks, then it is answered at once."""
    with raw_http.connections(url, 40):
        assert requests.get(f"{url}/identity/v3", timeout=5, verify=False).status_code == 200


def test_one_address_has_so_many_connections(url: str) -> None:
    """Given one address with all it may have, when it opens more, then these are closed, and others are served."""
    with raw_http.connections(url, LIMIT + 20, source="127.0.0.9") as opened:
        assert not any(raw_http.is_open(one, wait_s=5) for one in opened[-20:])
        assert raw_http.is_open(opened[0])
        assert requests.get(f"{url}/identity/v3", timeout=5, verify=False).status_code == 200
    wait_for(lambda: _may_stay(url), "room for more, once the server has seen the others close", timeout_s=30)


def _may_stay(url: str) -> bool:
    with raw_http.connect(url, "127.0.0.9") as later:
        return raw_http.is_open(later, wait_s=0.2)
