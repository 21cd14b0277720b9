"""The Host header went into links and, as it came, into `WWW-Authenticate`; a configured public URL did not win.

A cache or a reader of the answer could be sent to a stranger's host, or given headers of the sender's choice.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from falcon import testing

from api import wsgi
from api.service import FACES
from tests.harness.client import Client
from tests.harness.inprocess import Cloud

EVIL = "evil.example"
PUBLIC = "https://cloud.example.org"


@pytest.fixture
def ask(cloud: Cloud) -> testing.TestClient:
    """The api without its server, which has checks of its own."""
    return testing.TestClient(wsgi.build(cloud.api.services, FACES))


@pytest.fixture
def public(cloud: Cloud) -> Iterator[None]:
    cloud.api.services.conf.set_override("public_url", PUBLIC, "api")
    yield
    cloud.api.services.conf.clear_override("public_url", "api")


@pytest.mark.parametrize("host", ['x"y', "a b", "a/b", "a@b", "a:b", "a:1:2", "[::1", "a\tb", "", "x" * 300, "a,b",
                                  "<script>", "-a", "a?b", "a#b", "ä"])
@pytest.mark.parametrize("path", ["/compute/v2.1/servers", "/identity/v3", "/image/v2/images", "/network/v2.0/ports",
                                  "/volume/v3/volumes"])
def test_what_is_no_host_is_refused(ask: testing.TestClient, host: str, path: str) -> None:
    answer = ask.simulate_get(path, extras={"HTTP_HOST": host})
    assert answer.status_code == 400
    assert "www-authenticate" not in answer.headers
    assert not host.strip() or host not in answer.text.replace("a host name", "")


@pytest.mark.parametrize("host", ["cloud.example.org", "10.0.0.1:8780", "[2001:db8::1]:8780", "localhost", "my_host",
                                  "a-b.c."])
def test_hosts_are_hosts(ask: testing.TestClient, host: str) -> None:
    answer = ask.simulate_get("/compute/v2.1/servers", extras={"HTTP_HOST": host})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == f'Keystone uri="http://{host}/identity"'


def test_the_configured_url_wins_everywhere(ask: testing.TestClient, client: Client, public: None) -> None:
    headers = {"X-Auth-Token": str(client._session.headers["X-Auth-Token"])}
    refused = ask.simulate_get("/compute/v2.1/servers", extras={"HTTP_HOST": EVIL})
    assert refused.headers["www-authenticate"] == f'Keystone uri="{PUBLIC}/identity"'
    made = ask.simulate_post("/image/v2/images", json={"name": "x"}, headers=headers, extras={"HTTP_HOST": EVIL})
    assert made.headers["location"] == f"{PUBLIC}/image/v2/images/{made.json['id']}"
    roles = ask.simulate_get("/identity/v3/roles", headers=headers, extras={"HTTP_HOST": EVIL}).json["roles"]
    for path in (f"/identity/v3/projects/{client.project_id}/tags", f"/identity/v3/roles/{roles[0]['id']}/implies",
                 "/compute/v2.1", "/compute/v2.1/servers?limit=1", "/identity/v3", "/identity/v3/projects", "/image/v2",
                 "/network/v2.0", "/volume/v3", "/volume/v3/volumes", "/identity/v3/auth/catalog",
                 "/compute/v2.1/flavors"):
        answer = ask.simulate_get(path, headers=headers, extras={"HTTP_HOST": EVIL})
        assert EVIL not in answer.text + str(answer.headers), path
