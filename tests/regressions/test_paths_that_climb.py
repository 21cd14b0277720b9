"""A metadata key `..` made `openstack server unset --property ..` delete the server: clients resolve dots in a path.

Names that become the last part of a path are refused, and a path with dots, wherever they come from, reaches nothing.
"""

from __future__ import annotations

import http.client
from typing import Any

import pytest

from tests.harness.client import Client

COMPUTE = "/compute/v2.1"
CLIMBING = (".", "..")


@pytest.fixture(scope="module")
def server(client: Client, image: str) -> str:
    return client.create_server(image, "stays")


def raw(client: Client, method: str, path: str) -> int:
    """Send a request without touching its path, as a client may that does not resolve dots."""
    connection = http.client.HTTPConnection(client.url.removeprefix("http://"))
    connection.request(method, path, headers={"X-Auth-Token": str(client.request("GET", "/").request.headers[
        "X-Auth-Token"])})
    return connection.getresponse().status


@pytest.mark.parametrize("name", CLIMBING)
def test_names_that_climb_are_refused(client: Client, server: str, name: str) -> None:
    bodies: tuple[tuple[str, str, Any], ...] = (
        ("POST", f"{COMPUTE}/servers/{server}/metadata", {"metadata": {name: "x"}}),
        ("PUT", f"{COMPUTE}/servers/{server}/metadata", {"metadata": {name: "x"}}),
        ("PUT", f"{COMPUTE}/servers/{server}/tags", {"tags": [name]}),
        ("POST", f"{COMPUTE}/flavors/42/os-extra_specs", {"extra_specs": {name: "x"}}),
        ("POST", f"{COMPUTE}/flavors", {"flavor": {"name": "f", "id": name, "ram": 1, "vcpus": 1, "disk": 0}}),
        ("POST", f"{COMPUTE}/os-keypairs", {"keypair": {"name": name, "public_key": "ssh-rsa x"}}),
        ("POST", "/image/v2/images", {"name": "i", "tags": [name]}))
    for method, path, body in bodies:
        answer = client.request(method, path, json=body)
        assert answer.status_code == 400, (path, answer.text)
    old = {"OpenStack-API-Version": "compute 2.1"}
    answer = client.post(f"{COMPUTE}/os-keypairs", {"keypair": {"name": name}}, headers=old)
    assert answer.status_code == 400
    created = client.post(f"{COMPUTE}/servers", client.server_body("0" * 32, metadata={name: "x"}))
    assert created.status_code == 400 and name in created.text


@pytest.mark.parametrize("tail", ["/metadata/..", "/metadata/%2e%2e", "/tags/.", "/metadata/x/../..", "/./tags"])
def test_paths_that_climb_reach_nothing(client: Client, server: str, tail: str) -> None:
    for method in ("GET", "DELETE", "PUT"):
        assert raw(client, method, f"{COMPUTE}/servers/{server}{tail}") == 400
    shown = client.show(server)
    assert shown is not None and shown["OS-EXT-STS:task_state"] != "deleting"


@pytest.mark.parametrize("path", [
    "/compute/v2.1/servers/", "/compute/v2.1/servers//metadata", "/compute/v2.1/flavors/", "/image/v2/images/",
    "/image/v2/images//file", "/compute/v2.1/os-keypairs/"])
def test_an_empty_id_is_not_found(client: Client, path: str) -> None:
    for method in ("GET", "DELETE", "PUT", "POST"):
        assert raw(client, method, path) == 404


def test_version_documents_may_end_with_a_slash(client: Client) -> None:
    for path in ("/compute/", "/compute/v2.1/", "/image/v2/"):
        assert raw(client, "GET", path) == 200
