"""Who may call what: every persona with every verb of the identity API, and with every route of every other API.

The administrator of any project was the administrator of the cloud.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.openstack.compute import FACE as COMPUTE
from api.openstack.identity import FACE as IDENTITY
from api.openstack.image import FACE as IMAGE
from api.openstack.network import FACE as NETWORK
from api.openstack.volume import FACE as VOLUME
from tests.harness import chosen_database, foreign_calls, personas
from tests.harness.identity_rest import PASSWORD, serving
from tests.harness.personas import CLOUD_ADMIN, NAMES, UNSCOPED, Personas

FACES = (IDENTITY, COMPUTE, IMAGE, NETWORK, VOLUME)
CLOUD = {CLOUD_ADMIN, "system admin"}
SEES_ALL = CLOUD | {"system reader"}
MANAGES = CLOUD | {"domain manager", "domain admin"}
SEES_DOMAIN = SEES_ALL | {"domain reader", "domain manager", "domain admin"}
IN_HOUSE = {"reader", "member", "manager", "project admin", "service"}
ANYBODY = set(NAMES)

# Verb, path, body → who may. What is created or destroyed is new for each of them: {user}, {project}, {name}.
IDENTITY_RIGHTS: tuple[tuple[str, str, Any, set[str]], ...] = (
    ("GET", "/projects", None, SEES_DOMAIN),
    ("GET", "/projects/{house}", None, SEES_DOMAIN | IN_HOUSE | {UNSCOPED}),
    ("GET", "/projects/{house}/tags", None, SEES_DOMAIN | IN_HOUSE | {UNSCOPED}),
    ("GET", "/projects/{shop}", None, SEES_ALL),
    ("POST", "/projects", {"project": {"name": "{name}", "domain_id": "{tenants}"}}, MANAGES),
    ("POST", "/projects", {"project": {"name": "{name}", "parent_id": "{tenants}"}}, MANAGES),
    ("POST", "/projects", {"project": {"name": "{name}", "domain_id": "{strangers}"}}, CLOUD),
    ("POST", "/projects", {"project": {"name": "{name}", "domain_id": "default"}}, CLOUD),
    ("PATCH", "/projects/{house}", {"project": {"description": "x"}}, MANAGES),
    ("PUT", "/projects/{house}/tags/x", None, MANAGES),
    ("PATCH", "/projects/{shop}", {"project": {"description": "x"}}, CLOUD),
    ("PATCH", "/projects/{admin_project}", {"project": {"description": "x"}}, CLOUD),
    ("DELETE", "/projects/{project}", None, MANAGES),
    ("GET", "/users", None, SEES_DOMAIN),
    ("GET", "/users/{user}", None, SEES_DOMAIN),
    ("GET", "/users/{victim}", None, SEES_ALL),
    ("GET", "/users/{user}/projects", None, SEES_DOMAIN),
    ("POST", "/users", {"user": {"name": "{name}", "domain_id": "{tenants}"}}, MANAGES),
    ("POST", "/users", {"user": {"name": "{name}", "domain_id": "{strangers}"}}, CLOUD),
    ("POST", "/users", {"user": {"name": "{name}", "domain_id": "default"}}, CLOUD),
    ("PATCH", "/users/{user}", {"user": {"password": "x"}}, MANAGES),
    ("PATCH", "/users/{victim}", {"user": {"description": "x"}}, CLOUD),
    # In the manager's own domain, but they hold more than the manager does.
    ("PATCH", "/users/{admin}", {"user": {"description": "x"}}, CLOUD),
    ("PATCH", "/users/{system reader}", {"user": {"description": "x"}}, CLOUD),
    ("PATCH", "/users/{service}", {"user": {"description": "x"}}, CLOUD),
    ("DELETE", "/users/{user}", None, MANAGES),
    ("PUT", "/projects/{house}/users/{user}/roles/{role_member}", None, MANAGES),
    ("PUT", "/projects/{house}/users/{user}/roles/{role_manager}", None, MANAGES),
    ("PUT", "/projects/{house}/users/{user}/roles/{role_admin}", None, CLOUD),
    ("PUT", "/projects/{house}/users/{user}/roles/{role_service}", None, CLOUD),
    ("PUT", "/projects/{shop}/users/{user}/roles/{role_member}", None, CLOUD),
    ("PUT", "/projects/{house}/users/{victim}/roles/{role_member}", None, CLOUD),
    ("PUT", "/projects/{admin_project}/users/{user}/roles/{role_reader}", None, CLOUD),
    ("PUT", "/domains/{tenants}/users/{user}/roles/{role_manager}", None, MANAGES),
    ("PUT", "/domains/{tenants}/users/{user}/roles/{role_admin}", None, CLOUD),
    ("PUT", "/domains/{strangers}/users/{user}/roles/{role_reader}", None, CLOUD),
    ("PUT", "/system/users/{user}/roles/{role_reader}", None, CLOUD),
    ("GET", "/projects/{house}/users/{user}/roles", None, SEES_DOMAIN),
    ("GET", "/projects/{house}/users/{victim}/roles", None, SEES_ALL),
    ("GET", "/projects/{shop}/users/{user}/roles", None, SEES_ALL),
    ("GET", "/system/users/{user}/roles", None, SEES_ALL),
    ("GET", "/role_assignments", None, SEES_DOMAIN),
    ("GET", "/groups", None, SEES_DOMAIN),
    ("GET", "/groups/{group}", None, SEES_DOMAIN),
    ("GET", "/groups/{strange_group}", None, SEES_ALL),
    ("GET", "/groups/{group}/users", None, SEES_DOMAIN),
    ("GET", "/users/{user}/groups", None, SEES_DOMAIN),
    ("GET", "/users/{member}/groups", None, SEES_DOMAIN | {"member", UNSCOPED}),
    ("POST", "/groups", {"group": {"name": "{name}", "domain_id": "{tenants}"}}, MANAGES),
    ("POST", "/groups", {"group": {"name": "{name}", "domain_id": "{strangers}"}}, CLOUD),
    ("POST", "/groups", {"group": {"name": "{name}", "domain_id": "default"}}, CLOUD),
    ("PATCH", "/groups/{group}", {"group": {"description": "x"}}, MANAGES),
    ("PATCH", "/groups/{strange_group}", {"group": {"description": "x"}}, CLOUD),
    ("DELETE", "/groups/{group}", None, MANAGES),
    ("PUT", "/groups/{group}/users/{user}", None, MANAGES),
    ("PUT", "/groups/{group}/users/{victim}", None, CLOUD),
    ("PUT", "/groups/{strange_group}/users/{user}", None, CLOUD),
    ("GET", "/groups/{crew}/users/{sailor}", None, SEES_DOMAIN),
    # In the manager's own domain, but whoever is in it holds more than the manager does.
    ("PUT", "/groups/{powerful}/users/{user}", None, CLOUD),
    ("PATCH", "/groups/{powerful}", {"group": {"description": "x"}}, CLOUD),
    ("PATCH", "/users/{powerful member}", {"user": {"description": "x"}}, CLOUD),
    ("PUT", "/projects/{house}/groups/{group}/roles/{role_member}", None, MANAGES),
    ("PUT", "/projects/{house}/groups/{group}/roles/{role_admin}", None, CLOUD),
    ("PUT", "/projects/{shop}/groups/{group}/roles/{role_member}", None, CLOUD),
    ("PUT", "/projects/{house}/groups/{strange_group}/roles/{role_member}", None, CLOUD),
    ("PUT", "/projects/{admin_project}/groups/{group}/roles/{role_reader}", None, CLOUD),
    ("PUT", "/domains/{tenants}/groups/{group}/roles/{role_manager}", None, MANAGES),
    ("PUT", "/system/groups/{group}/roles/{role_reader}", None, CLOUD),
    ("GET", "/projects/{house}/groups/{group}/roles", None, SEES_DOMAIN),
    ("GET", "/projects/{house}/groups/{strange_group}/roles", None, SEES_ALL),
    ("GET", "/system/groups/{group}/roles", None, SEES_ALL),
    ("GET", "/roles", None, ANYBODY),
    ("POST", "/roles", {"role": {"name": "{name}"}}, CLOUD),
    ("PATCH", "/roles/{role_member}", {"role": {"description": "x"}}, CLOUD),
    ("GET", "/domains", None, SEES_DOMAIN),
    ("GET", "/domains/{strangers}", None, SEES_ALL),
    ("POST", "/domains", {"domain": {"name": "{name}"}}, CLOUD),
    ("PATCH", "/domains/{tenants}", {"domain": {"description": "x"}}, CLOUD),
    ("GET", "/services", None, SEES_ALL),
    ("GET", "/endpoints", None, SEES_ALL),
    ("GET", "/users/{user}/application_credentials", None, SEES_ALL),
)


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Personas]:
    """Everybody, before an api that has all faces."""
    directory = tmp_path_factory.mktemp("personas")
    with serving(chosen_database.url_of(directory / "test.db"), directory, FACES) as api:
        yield personas.make(api)


@pytest.mark.parametrize(("method", "path", "body", "allowed"), IDENTITY_RIGHTS)
def test_identity(people: Personas, method: str, path: str, body: Any, allowed: set[str]) -> None:
    statuses = {}
    for name in NAMES:
        fresh = {"name": uuid.uuid4().hex}
        for noun in ("user", "project", "group"):
            if f"{{{noun}}}" in path:
                made = people.api.call("POST", f"/{noun}s", {noun: {
                    "name": fresh["name"], "domain_id": people.ids["tenants"]}})
                fresh[noun] = made.json[noun]["id"]
        known = {**people.ids, **fresh}
        filled = {noun: {key: value.format(**known) for key, value in values.items()}
                  for noun, values in (body or {}).items()}
        answer = people.api.call(method, path.format(**known), filled or None, token=people.tokens[name])
        statuses[name] = answer.status_code
    assert {name for name, status in statuses.items() if status < 400} == allowed, statuses
    assert {status for name, status in statuses.items() if name not in allowed} <= {403}


def test_tokens_of_others(people: Personas) -> None:
    victims = _tokens_of_admin(people)
    for method, allowed in (("GET", SEES_ALL | {"service"}), ("HEAD", SEES_ALL), ("DELETE", CLOUD)):
        statuses = {name: people.api.call(method, "/auth/tokens", token=people.tokens[name],
                                          X_Subject_Token=next(victims)).status_code for name in NAMES}
        assert {name for name, status in statuses.items() if status < 300} == allowed, statuses


def _tokens_of_admin(people: Personas) -> Iterator[str]:
    while True:
        yield people.api.token_of("admin", people.api.made.admin_password or "", project="admin")


def test_the_admin_project_may_have_another_name(tmp_path: Path) -> None:
    overrides = {"identity.admin_project_name": "operators"}
    with serving(chosen_database.url_of(tmp_path / "test.db"), tmp_path, project="operators", **overrides) as api:
        assert api.call("GET", "/services").status_code == 200
        _, _, token = api.member("eve", "admin", "admin")
        assert api.call("GET", "/services", token=token).status_code == 403


def test_a_manager_makes_no_admin_project(tmp_path: Path) -> None:
    """Given an admin project that was renamed, when the manager of its domain gives its name to another project, then
    that is refused: the admins of that one would get the cloud."""
    with serving(chosen_database.url_of(tmp_path / "test.db"), tmp_path) as api:
        user, other = api.make_user("carol"), api.make_project("other")
        assert api.call("PUT", f"/domains/default/users/{user['id']}/roles/{api.role('manager')}").status_code == 204
        token = api.token_of("carol", PASSWORD, scope={"domain": {"id": "default"}})
        renamed = {"project": {"name": "renamed"}}
        assert api.call("PATCH", f"/projects/{api.made.admin_project_id}", renamed).status_code == 200
        body = {"project": {"name": "admin"}}
        assert api.call("PATCH", f"/projects/{other['id']}", body, token=token).status_code == 403
        assert api.call("POST", "/projects", body, token=token).status_code == 403
        assert api.call("POST", "/projects", {"project": {"name": "more"}}, token=token).status_code == 201
        api.admin = api.token_of("admin", api.made.admin_password or "", scope={"system": {"all": True}})
        assert api.call("PATCH", f"/projects/{api.made.admin_project_id}", body).status_code == 200


def test_a_domain_sees_its_own(people: Personas) -> None:
    token = people.tokens["domain reader"]
    for noun in ("users", "groups", "projects", "domains"):
        rows = people.api.call("GET", f"/{noun}", token=token).json[noun]
        every = people.api.call("GET", f"/{noun}").json[noun]
        assert rows == [row for row in every if row.get("domain_id", row["id"]) == people.ids["tenants"]]
        assert 0 < len(rows) < len(every)
    held = people.api.call("GET", "/role_assignments", token=token).json["role_assignments"]
    places = {place.get("id") for item in held for place in item["scope"].values()}
    assert {people.ids["house"], people.ids["tenants"]} <= places
    assert {people.ids["shop"], people.ids["admin_project"], "default", None}.isdisjoint(places)


@pytest.mark.parametrize("name", ["system admin", "system reader", "domain manager", "domain admin"])
def test_other_apis_take_tokens_of_projects(people: Personas, name: str) -> None:
    for method, path in foreign_calls.routes():
        status = _send(people, name, method, path).status_code
        if not path.startswith("/identity"):
            # What needs no token, a method that is not there, and a negotiation that fails come before.
            assert status == 403 or _send(people, "", method, path).status_code != 401, f"{method} {path}: {status}"


def test_the_admin_of_a_project_is_its_manager(people: Personas) -> None:
    refused = []
    for call in foreign_calls.calls():
        ids = {**dict.fromkeys((noun.removeprefix("own_") for noun in call.nouns), str(uuid.uuid4())),
               "own_security_group": str(uuid.uuid4()), "project": people.ids["shop"], "user": people.ids["victim"]}
        sent = call.filled(ids)
        one, other = (_send(people, name, sent.method, sent.path, sent.body).status_code
                      for name in ("manager", "project admin"))
        assert one == other, f"{sent}: {one} for the manager, {other} for the admin of a project"
        refused += [sent] if other == 403 else []
    assert len(refused) > 100
    # The cloud's administrator may do these.
    assert {_send(people, CLOUD_ADMIN, call.method, call.path).status_code for call in refused[:20]} & {403} == set()


def test_without_an_admin_project_each_admin_runs_the_cloud(tmp_path: Path) -> None:
    """As the reference has it when nothing is configured; the admin of a domain runs the domain only, even so."""
    with serving(chosen_database.url_of(tmp_path / "test.db"), tmp_path, FACES,
                 **{"identity.admin_project_name": ""}) as api:
        people = personas.make(api)
        assert people.call("project admin", "GET", "/services") == 200
        assert people.call("domain admin", "GET", "/services") == 403
        assert people.call("domain manager", "PATCH", "/projects/{house}", {"project": {"description": "x"}}) == 200
        shown = api.call("GET", "/auth/tokens", X_Subject_Token=people.tokens["project admin"]).json["token"]
        assert "is_admin_project" not in shown


def test_tokens_tell_of_the_admin_project(people: Personas) -> None:
    marks = {name: people.api.call("GET", "/auth/tokens", X_Subject_Token=people.tokens[name]).json["token"].get(
        "is_admin_project") for name in NAMES}
    assert {name for name, mark in marks.items() if mark} == {CLOUD_ADMIN}
    assert {name for name, mark in marks.items() if mark is False} == IN_HOUSE


def _send(people: Personas, name: str, method: str, path: str, body: Any = None) -> Any:
    headers = {"X-Auth-Token": people.tokens[name]} if name else {}
    return people.api.client.simulate_request(
        method, path.partition("?")[0], query_string=path.partition("?")[2], json=body,
        headers={**headers, "OpenStack-API-Version": "compute 2.96, volume 3.71"})
