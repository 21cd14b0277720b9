"""Scripts that remove a project with the unmodified client came to a halt at what its networks lack and at its default
security group."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.harness import openstack_cli
from tests.harness.client import Client
from tests.harness.inprocess import ADMIN_PASSWORD, Cloud

pytestmark = pytest.mark.skipif(openstack_cli.missing() is not None, reason=str(openstack_cli.missing()))

Run = Callable[..., str]


@pytest.fixture(scope="module")
def run(cloud: Cloud, client: Client, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return a function that runs `openstack …` as the administrator and gives what it says."""
    login = openstack_cli.login(cloud.url, ADMIN_PASSWORD, Path(tmp_path_factory.mktemp("home")))

    def run(line: str, *, fails: bool = False) -> str:
        done = openstack_cli.run(line.split(), login)
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


def made(client: Client, path: str, key: str, **values: Any) -> str:
    answer = client.post(path, {key: values})
    assert answer.status_code in (201, 202), answer.text
    return str(answer.json()[key]["id"])


def new_project(client: Client, name: str) -> tuple[str, Client]:
    """Return a project's id, and a client in it."""
    project_id = made(client, "/identity/v3/projects", "project", name=name)
    role_id = client.get("/identity/v3/roles?name=admin").json()["roles"][0]["id"]
    user_id = client.token["user"]["id"]
    client.request("PUT", f"/identity/v3/projects/{project_id}/users/{user_id}/roles/{role_id}").raise_for_status()
    inside = Client(client.url, "admin", ADMIN_PASSWORD, name)
    inside.login()
    return project_id, inside


def groups_of(client: Client, project_id: str) -> list[dict[str, Any]]:
    path = f"/network/v2.0/security-groups?project_id={project_id}"
    return list(client.get(path).json()["security_groups"])


def test_a_project_is_cleaned_up_and_deleted(run: Run, client: Client) -> None:
    project_id, inside = new_project(client, "purged")
    network_id = made(inside, "/network/v2.0/networks", "network", name="n")
    made(inside, "/network/v2.0/subnets", "subnet", network_id=network_id, cidr="10.9.0.0/24", ip_version=4)
    made(inside, "/network/v2.0/security-groups", "security_group", name="g")
    made(inside, "/volume/v3/volumes", "volume", name="v", size=1)
    assert "still holds" in run("project delete purged", fails=True)
    run("project cleanup --project purged --auto-approve")
    groups = groups_of(client, project_id)
    assert [group["name"] for group in groups] == ["default"]
    run(f"security group delete {groups[0]['id']}")
    run("project delete purged")
    assert client.get(f"/identity/v3/projects/{project_id}").status_code == 404
    assert groups_of(client, project_id) == []


def test_a_default_group_goes_with_its_project(run: Run, client: Client) -> None:
    project_id, inside = new_project(client, "brief")
    assert len(groups_of(inside, project_id)) == 1
    run("project delete brief")
    assert groups_of(client, project_id) == []
