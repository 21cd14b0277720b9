"""The role admin in any project, or in any domain, ran the whole cloud."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from api.openstack.compute import FACE as COMPUTE
from api.openstack.identity import FACE as IDENTITY
from api.openstack.image import FACE as IMAGE
from api.openstack.network import FACE as NETWORK
from api.openstack.volume import FACE as VOLUME
from tests.harness.identity_rest import PASSWORD, IdentityApi, serving

RUNS_THE_CLOUD = ("/identity/v3/users", "/identity/v3/projects", "/compute/v2.1/os-hypervisors",
                  "/compute/v2.1/os-services", "/compute/v2.1/os-simple-tenant-usage", "/volume/v3/os-services",
                  "/network/v2.0/network-ip-availabilities")


@pytest.fixture
def api(tmp_path: Path) -> Iterator[IdentityApi]:
    faces = (IDENTITY, COMPUTE, IMAGE, NETWORK, VOLUME)
    with serving(f"sqlite:///{tmp_path / 'test.db'}", tmp_path, faces) as api:
        yield api


@pytest.mark.parametrize("scope", ["project", "domain"])
def test_an_admin_of_one_place_does_not_run_the_cloud(api: IdentityApi, scope: str) -> None:
    """Given an admin of a project or a domain, when they ask for what the cloud has, then they are refused; yet the
    bootstrapped administrator, with a token of a project, and one with a token of the system, are not."""
    domain = api.call("POST", "/domains", {"domain": {"name": "tenants"}}).json["domain"]["id"]
    project = api.make_project("house", domain_id=domain)["id"]
    user = api.make_user("eve")["id"]
    for place in (f"projects/{project}", f"domains/{domain}"):
        assert api.call("PUT", f"/{place}/users/{user}/roles/{api.role('admin')}").status_code == 204
    token = api.token_of("eve", PASSWORD, scope={scope: {"id": project if scope == "project" else domain}})
    system = api.token_of("admin", api.made.admin_password or "", scope={"system": {"all": True}})
    for path in RUNS_THE_CLOUD:
        narrow = path.startswith("/identity") and scope == "domain"  # the domain's own rows
        answer = api.client.simulate_get(path, headers={"X-Auth-Token": token})
        assert answer.status_code == (200 if narrow else 403), path
        assert api.client.simulate_get(path, headers={"X-Auth-Token": api.admin}).status_code == 200
        if path.startswith("/identity"):
            assert api.client.simulate_get(path, headers={"X-Auth-Token": system}).status_code == 200
    change = {"user": {"password": "x"}}
    assert api.call("PATCH", f"/users/{api.made.admin_user_id}", change, token=token).status_code == 403
    grant = f"/projects/{api.made.admin_project_id}/users/{user}/roles/{api.role('admin')}"
    assert api.call("PUT", grant, token=token).status_code == 403


def test_ports_on_foreign_networks_are_not_for_every_admin(api: IdentityApi) -> None:
    """Given an external network, when an admin of another project makes a port on it, then there is no such network."""
    headers = {"X-Auth-Token": api.admin}
    body = {"network": {"name": "outside", "router:external": True}}
    network = api.client.simulate_post("/network/v2.0/networks", json=body, headers=headers).json["network"]["id"]
    _, _, token = api.member("eve", "house", "admin")
    answer = api.client.simulate_post("/network/v2.0/ports", json={"port": {"network_id": network}},
                                      headers={"X-Auth-Token": token})
    assert answer.status_code == 404
