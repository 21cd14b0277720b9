"""Groups over HTTP: their members, and the roles that members have through them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hostler import ids
from tests.harness import chosen_database
from tests.harness.identity_rest import PASSWORD, serving
from tests.harness.identity_rest import IdentityApi as Cloud

SYSTEM = {"system": {"all": True}}


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    with serving(chosen_database.url_of(tmp_path / "hostler.db"), tmp_path) as cloud:
        yield cloud


def make_group(cloud: Cloud, name: str, *members: dict[str, Any], **values: Any) -> dict[str, Any]:
    """Create a group with its members."""
    answer = cloud.call("POST", "/groups", {"group": {"name": name, **values}})
    assert answer.status_code == 201, answer.text
    group = dict(answer.json["group"])
    for user in members:
        assert cloud.call("PUT", f"/groups/{group['id']}/users/{user['id']}").status_code == 204
    return group


def role_of(cloud: Cloud, place: str, group: dict[str, Any], role: str) -> str:
    """Return the path of a grant."""
    return f"{place}/groups/{group['id']}/roles/{cloud.role(role)}"


def names(cloud: Cloud, path: str, key: str, **options: Any) -> list[str]:
    """Return the names in a list."""
    return [one["name"] for one in cloud.call("GET", path, **options).json[key]]


def test_groups(cloud: Cloud) -> None:
    group = make_group(cloud, " crew ", motto="ahoy")
    assert group == {"id": group["id"], "name": "crew", "domain_id": "default", "description": "", "motto": "ahoy",
                     "links": {"self": f"http://falconframework.org/identity/v3/groups/{group['id']}"}}
    path = f"/groups/{group['id']}"
    assert cloud.call("GET", f"/groups/{ids.canonical(group['id'])}").json["group"] == group
    assert cloud.call("POST", "/groups", {"group": {"name": "crew"}}).status_code == 409
    assert cloud.call("POST", "/groups", {"group": {"name": "x", "domain_id": "f" * 32}}).status_code == 404
    changed = cloud.call("PATCH", path, {"group": {"name": "gang", "description": None, "size": 3}}).json["group"]
    assert (changed["name"], changed["description"], changed["motto"], changed["size"]) == ("gang", None, "ahoy", 3)
    assert cloud.call("PATCH", path, {"group": {"domain_id": "f" * 32}}).status_code == 400
    assert cloud.call("PATCH", path, {"group": {"id": "f" * 32}}).status_code == 400
    make_group(cloud, "other")
    assert cloud.call("PATCH", path, {"group": {"name": "other"}}).status_code == 409
    assert names(cloud, "/groups", "groups") == ["gang", "other"]
    assert names(cloud, "/groups?name=gang&domain_id=default", "groups") == ["gang"]
    assert names(cloud, "/groups?limit=1", "groups") == ["gang"]
    assert cloud.call("DELETE", path).status_code == 204
    assert cloud.call("GET", path).status_code == 404
    assert cloud.call("GET", "/groups/crew").status_code == 404


def test_members(cloud: Cloud) -> None:
    ann, bob = cloud.make_user("ann"), cloud.make_user("bob")
    group = make_group(cloud, "crew", ann, ann)
    path = f"/groups/{group['id']}/users"
    assert names(cloud, path, "users") == ["ann"]
    assert names(cloud, f"{path}?name=bob", "users") == []
    assert names(cloud, f"/users/{ann['id']}/groups", "groups") == ["crew"]
    assert names(cloud, f"/users/{bob['id']}/groups", "groups") == []
    for method in ("GET", "HEAD"):
        assert cloud.call(method, f"{path}/{ann['id']}").status_code == 204
        assert cloud.call(method, f"{path}/{bob['id']}").status_code == 404
    assert "not found in group" in cloud.call("DELETE", f"{path}/{bob['id']}").text
    unknown = "f" * 32
    for place in (f"{path}/{unknown}", f"/groups/{unknown}/users/{ann['id']}", f"/groups/{unknown}/users/x"):
        for method in ("GET", "PUT", "DELETE"):
            assert cloud.call(method, place).status_code == 404
    assert cloud.call("GET", f"/groups/{unknown}/users").status_code == 404
    assert cloud.call("DELETE", f"{path}/{ann['id']}").status_code == 204
    assert names(cloud, path, "users") == []


@pytest.mark.parametrize("ending", ["membership", "grant", "group"])
def test_a_members_tokens_end_with_what_gave_the_role(cloud: Cloud, ending: str) -> None:
    """Given a user whose only role comes through a group, when one of the links goes, then so do their tokens."""
    ann, project = cloud.make_user("ann"), cloud.make_project("ship")
    group = make_group(cloud, "crew", ann)
    grant = role_of(cloud, f"/projects/{project['id']}", group, "member")
    assert cloud.log_in("ann", PASSWORD, project="ship").status_code == 401
    assert cloud.call("PUT", grant).status_code == cloud.call("PUT", grant).status_code == 204
    assert cloud.call("HEAD", grant).status_code == cloud.call("GET", grant).status_code == 204

    answer = cloud.log_in("ann", PASSWORD, project="ship")
    assert [role["name"] for role in answer.json["token"]["roles"]] == ["member", "reader"]
    token = answer.headers["X-Subject-Token"]
    assert names(cloud, "/auth/projects", "projects", token=token) == ["ship"]
    assert names(cloud, f"/users/{ann['id']}/projects", "projects", token=token) == ["ship"]
    assert names(cloud, f"/users/{ann['id']}/groups", "groups", token=token) == ["crew"]
    assert cloud.call("GET", f"/projects/{project['id']}", token=token).status_code == 200
    assert names(cloud, grant.rpartition("/")[0], "roles") == ["member"]
    assert names(cloud, f"/projects/{project['id']}/users/{ann['id']}/roles", "roles") == []

    path = {"membership": f"/groups/{group['id']}/users/{ann['id']}", "grant": grant,
            "group": f"/groups/{group['id']}"}[ending]
    assert cloud.call("DELETE", path).status_code == 204
    assert cloud.call("GET", f"/projects/{project['id']}", token=token).status_code == 401
    assert cloud.log_in("ann", PASSWORD, project="ship").status_code == 401
    assert cloud.call("DELETE", path).status_code == 404


def test_a_role_held_twice_stays_when_one_goes(cloud: Cloud) -> None:
    ann, project, token = cloud.member("ann", "ship")
    group = make_group(cloud, "crew", ann)
    grant = role_of(cloud, f"/projects/{project['id']}", group, "member")
    assert cloud.call("PUT", grant).status_code == 204
    own = f"/projects/{project['id']}/users/{ann['id']}/roles/{cloud.role('member')}"
    assert cloud.call("DELETE", own).status_code == 204
    assert cloud.call("GET", f"/projects/{project['id']}", token=token).status_code == 200
    assert cloud.call("DELETE", grant).status_code == 204
    assert cloud.call("GET", f"/projects/{project['id']}", token=token).status_code == 401


def test_roles_on_domains_and_the_system(cloud: Cloud) -> None:
    group = make_group(cloud, "crew", cloud.make_user("ann"))
    for place, scope in (("/domains/default", {"domain": {"id": "default"}}), ("/system", SYSTEM)):
        assert cloud.call("PUT", role_of(cloud, place, group, "reader")).status_code == 204
        answer = cloud.log_in("ann", PASSWORD, scope=scope)
        assert [role["name"] for role in answer.json["token"]["roles"]] == ["reader"]
    token = cloud.token_of("ann", PASSWORD, scope="unscoped")
    assert names(cloud, "/auth/domains", "domains", token=token) == ["Default"]
    assert cloud.call("GET", "/auth/system", token=token).json["system"] == [{"all": True}]
    assert cloud.call("DELETE", role_of(cloud, "/system", group, "reader")).status_code == 204
    assert cloud.call("GET", "/auth/system", token=token).json["system"] == []
    for place in ("/projects/" + "f" * 32, "/domains/" + "f" * 32):
        assert cloud.call("PUT", role_of(cloud, place, group, "reader")).status_code == 404


def test_an_application_credential_has_roles_through_a_group(cloud: Cloud) -> None:
    ann, project = cloud.make_user("ann"), cloud.make_project("ship")
    group = make_group(cloud, "crew", ann)
    assert cloud.call("PUT", role_of(cloud, f"/projects/{project['id']}", group, "member")).status_code == 204
    token = cloud.token_of("ann", PASSWORD, project="ship")
    made = cloud.call("POST", f"/users/{ann['id']}/application_credentials",
                      {"application_credential": {"name": "ci"}}, token=token).json["application_credential"]
    wish = {"identity": {"methods": ["application_credential"], "application_credential": {
        "id": made["id"], "secret": made["secret"]}}}
    assert cloud.call("POST", "/auth/tokens", {"auth": wish}, token="").status_code == 201
    assert cloud.call("DELETE", f"/groups/{group['id']}/users/{ann['id']}").status_code == 204
    assert cloud.call("POST", "/auth/tokens", {"auth": wish}, token="").status_code == 401


def test_assignments(cloud: Cloud) -> None:
    """Given a group of two and a role of its own for one of them, then lists say who has what, and through what."""
    ann, project, token = cloud.member("ann", "ship", "reader")
    group = make_group(cloud, "crew", ann, cloud.make_user("bob"))
    grant = role_of(cloud, f"/projects/{project['id']}", group, "manager")
    assert cloud.call("PUT", grant).status_code == 204

    def listed(query: str, **options: Any) -> list[dict[str, Any]]:
        return list(cloud.call("GET", f"/role_assignments?{query}", **options).json["role_assignments"])

    [given] = listed(f"group.id={group['id']}&include_names")
    assert given["group"] == {"id": group["id"], "name": "crew", "domain": {"id": "default", "name": "Default"}}
    assert given["role"]["name"] == "manager" and given["scope"]["project"]["name"] == "ship"
    assert given["links"]["assignment"].endswith("/identity/v3" + grant)
    here = f"scope.project.id={project['id']}"
    assert [set(item) & {"user", "group"} for item in listed(here)] == [{"user"}, {"group"}]
    assert len(listed(f"user.id={ann['id']}")) == 1
    assert listed(f"{here}&role.id={cloud.role('manager')}") == listed(f"group.id={group['id']}")

    effective = listed(f"{here}&effective&include_names")
    assert all("group" not in item for item in effective)
    assert {(item["user"]["name"], item["role"]["name"]) for item in effective} == {
        (user, role) for user in ("ann", "bob") for role in ("manager", "member", "reader")}
    own = listed(f"user.id={ann['id']}&effective&include_names", token=token)
    assert {(item["user"]["name"], item["role"]["name"], "membership" in item["links"]) for item in own} == {
        ("ann", "reader", False), ("ann", "manager", True), ("ann", "member", True), ("ann", "reader", True)}
    assert {item["links"]["membership"] for item in own if "membership" in item["links"]} == {
        f"http://falconframework.org/identity/v3/groups/{group['id']}/users/{ann['id']}"}
    assert listed(f"user.id={ann['id']}&effective&role.id={cloud.role('admin')}") == []
    for query in (f"group.id={group['id']}&user.id={ann['id']}", f"group.id={group['id']}&effective"):
        assert cloud.call("GET", f"/role_assignments?{query}").status_code == 400
    assert cloud.call("GET", f"/role_assignments?group.id={group['id']}", token=token).status_code == 403


def test_what_goes_with_users_projects_and_roles(cloud: Cloud) -> None:
    ann, project = cloud.make_user("ann"), cloud.make_project("ship")
    group = make_group(cloud, "crew", ann)
    role = cloud.call("POST", "/roles", {"role": {"name": "cook"}}).json["role"]
    for name in ("cook", "member"):
        assert cloud.call("PUT", role_of(cloud, f"/projects/{project['id']}", group, name)).status_code == 204
    assert cloud.call("PUT", role_of(cloud, "/domains/default", group, "reader")).status_code == 204
    listed = f"/role_assignments?group.id={group['id']}"
    assert len(cloud.call("GET", listed).json["role_assignments"]) == 3
    assert cloud.call("DELETE", f"/roles/{role['id']}").status_code == 204
    assert len(cloud.call("GET", listed).json["role_assignments"]) == 2
    assert cloud.call("DELETE", f"/projects/{project['id']}").status_code == 204
    assert len(cloud.call("GET", listed).json["role_assignments"]) == 1
    assert cloud.call("DELETE", f"/users/{ann['id']}").status_code == 204
    assert names(cloud, f"/groups/{group['id']}/users", "users") == []


def test_a_domain_with_groups_stays(cloud: Cloud) -> None:
    domain = cloud.call("POST", "/domains", {"domain": {"name": "sea", "enabled": False}}).json["domain"]
    group = make_group(cloud, "crew", domain_id=domain["id"])
    answer = cloud.call("DELETE", f"/domains/{domain['id']}")
    assert answer.status_code == 409 and "1 groups" in answer.text
    assert cloud.call("DELETE", f"/groups/{group['id']}").status_code == 204
    assert cloud.call("DELETE", f"/domains/{domain['id']}").status_code == 204


def test_a_domain_has_so_many_groups(tmp_path: Path) -> None:
    with serving(chosen_database.url_of(tmp_path / "test.db"), tmp_path, **{"identity.max_groups": 2}) as cloud:
        groups = [make_group(cloud, name) for name in ("one", "two")]
        answer = cloud.call("POST", "/groups", {"group": {"name": "three"}})
        assert answer.status_code == 403 and "groups" in answer.text
        assert cloud.call("DELETE", f"/groups/{groups[0]['id']}").status_code == 204
        make_group(cloud, "three")
