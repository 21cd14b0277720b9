"""HEAD of a version document, of /healthcheck and of what the identity API shows was answered with 405.

Load balancers ask like that, and the reference's identity has a HEAD for each GET.
"""

from __future__ import annotations

import pytest

from tests.harness.client import Client

DOCUMENTS = (
    "/healthcheck", "/identity", "/identity/v3", "/identity/v3/", "/compute", "/compute/v2.1", "/compute/v2.1/",
    "/volume", "/volume/v3", "/image", "/image/v2", "/image/versions", "/network", "/network/v2.0", "/network/v2.0/")
SHOWN = ("projects", "users", "groups", "roles", "domains", "services", "endpoints", "regions", "role_assignments",
         "auth/projects", "auth/catalog", "projects/{project}", "projects/{project}/tags", "users/{user}",
         "users/{user}/projects", "users/{user}/application_credentials", "domains/default", "role_inferences",
         "credentials", "users/nobody", "bogus")


@pytest.mark.parametrize("path", [*DOCUMENTS, *(f"/identity/v3/{path}" for path in SHOWN)])
def test_a_head_is_a_get_without_its_body(client: Client, path: str) -> None:
    path = path.format(project=client.project_id, user=client.token["user"]["id"])
    shown, head = (client.request(method, path, allow_redirects=False) for method in ("GET", "HEAD"))
    assert (head.status_code, head.content) == (shown.status_code, b"")
    assert head.headers.get("Content-Type") == shown.headers.get("Content-Type")
    assert client.get("/identity/v3").ok  # the connection is not out of step


def test_a_head_needs_a_token_where_a_get_does(client: Client) -> None:
    for method in ("GET", "HEAD"):
        assert client.request(method, "/identity/v3/users", headers={"X-Auth-Token": "x"}).status_code == 401
