"""The identity face over HTTP, on SQLite, with nothing else of the cloud."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from falcon import testing

from hostler import clock, ids
from hostler.db.models import Flavor, ImageTag, LoginFailures, Network, RevokedToken, SecurityGroup, Server
from tests.harness import chosen_database
from tests.harness.identity_rest import PASSWORD, serving
from tests.harness.identity_rest import IdentityApi as Cloud


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    with serving(chosen_database.url_of(tmp_path / "hostler.db"), tmp_path) as cloud:
        yield cloud


def test_versions_need_no_token(cloud: Cloud) -> None:
    assert cloud.client.simulate_get("/identity").status_code == 300
    versions = cloud.client.simulate_get("/identity/").json["versions"]["values"]
    version = cloud.client.simulate_get("/identity/v3/").json["version"]
    assert versions == [version]
    assert version["links"][0]["href"].endswith("/identity/v3/")


def test_a_token_says_who_where_and_what_may_be_called(cloud: Cloud) -> None:
    answer = cloud.log_in("admin", cloud.made.admin_password or "", project="admin")
    token = answer.json["token"]
    assert answer.headers["Vary"] == "X-Auth-Token"
    assert token["project"]["id"] == ids.bare(cloud.made.admin_project_id)
    assert {role["name"] for role in token["roles"]} == {"admin", "manager", "member", "reader"}
    assert {service["type"] for service in token["catalog"]} >= {"identity", "compute", "image", "network"}
    assert {endpoint["interface"] for endpoint in token["catalog"][0]["endpoints"]} == {"public", "internal", "admin"}
    shown = cloud.call("GET", "/auth/tokens", X_Subject_Token=answer.headers["X-Subject-Token"]).json["token"]
    assert shown == token
    short = cloud.call("GET", "/auth/tokens?nocatalog", X_Subject_Token=answer.headers["X-Subject-Token"])
    assert "catalog" not in short.json["token"]


@pytest.mark.parametrize(("name", "password"), [("admin", "wrong"), ("nobody", "wrong"), ("admin", "")])
def test_every_refusal_reads_the_same(cloud: Cloud, name: str, password: str) -> None:
    answer = cloud.log_in(name, password, project="admin")
    assert answer.status_code == 401
    assert answer.json == {"error": {"code": 401, "title": "Unauthorized",
                                     "message": "The request you have made requires authentication."}}
    assert "WWW-Authenticate" in answer.headers


def test_scopes(cloud: Cloud) -> None:
    password = cloud.made.admin_password or ""
    system = cloud.log_in("admin", password, scope={"system": {"all": True}}).json["token"]
    assert system["system"] == {"all": True}
    domain = cloud.log_in("admin", password, scope={"domain": {"id": "default"}}).json["token"]
    assert domain["domain"] == {"id": "default", "name": "Default"}
    unscoped = cloud.log_in("admin", password, scope="unscoped")
    assert "roles" not in unscoped.json["token"]
    assert "catalog" not in unscoped.json["token"]
    # The default project is taken when nothing is said.
    assert cloud.log_in("admin", password).json["token"]["project"]["name"] == "admin"
    text = unscoped.headers["X-Subject-Token"]
    assert cloud.call("GET", "/auth/catalog", token=text).status_code == 403
    assert [one["name"] for one in cloud.call("GET", "/auth/projects", token=text).json["projects"]] == ["admin"]
    assert [one["id"] for one in cloud.call("GET", "/auth/domains", token=text).json["domains"]] == ["default"]
    assert cloud.call("GET", "/auth/system", token=text).json["system"] == [{"all": True}]
    assert cloud.call("GET", "/projects", token=text).status_code == 403


def test_a_token_becomes_another_that_lasts_no_longer(cloud: Cloud) -> None:
    first = cloud.log_in("admin", cloud.made.admin_password or "", scope="unscoped")
    wish = {"identity": {"methods": ["token"], "token": {"id": first.headers["X-Subject-Token"]}},
            "scope": {"project": {"id": cloud.made.admin_project_id}}}
    second = cloud.call("POST", "/auth/tokens", {"auth": wish}, token="").json["token"]
    assert second["expires_at"] == first.json["token"]["expires_at"]
    assert second["methods"] == ["password", "token"]
    assert second["audit_ids"][1] == first.json["token"]["audit_ids"][0]


def test_revoked_tokens_are_refused_at_once(cloud: Cloud) -> None:
    token = cloud.token_of("admin", cloud.made.admin_password or "", project="admin")
    assert cloud.call("GET", "/projects", token=token).status_code == 200
    assert cloud.call("DELETE", "/auth/tokens", X_Subject_Token=token).status_code == 204
    assert cloud.call("GET", "/projects", token=token).status_code == 401
    assert cloud.call("GET", "/auth/tokens", X_Subject_Token=token).status_code == 404
    assert cloud.call("HEAD", "/auth/tokens", X_Subject_Token=token).status_code == 404


def test_expired_revocations_are_swept(cloud: Cloud) -> None:
    old = RevokedToken(audit_id="old", expires_at=clock.utcnow() - dt.timedelta(days=1))
    cloud.db.write(lambda session: session.add(old))
    token = cloud.token_of("admin", cloud.made.admin_password or "", project="admin")
    cloud.call("DELETE", "/auth/tokens", X_Subject_Token=token)
    with cloud.db.reading() as session:
        assert session.execute(sa.select(sa.func.count()).select_from(RevokedToken)).scalar_one() == 1


@pytest.mark.parametrize("token", ["nonsense", "gAAAAA" + "x" * 180, "é", "x" * 5000])
def test_what_is_no_token_is_refused(cloud: Cloud, token: str) -> None:
    header = token.encode().decode("latin-1")
    assert cloud.call("GET", "/projects", token=header).status_code == 401
    assert cloud.call("GET", "/auth/tokens", X_Subject_Token=header).status_code == 404


def test_too_many_wrong_passwords_lock_a_user_for_a_while(cloud: Cloud) -> None:
    user = cloud.make_user("eve")
    for _ in range(3):
        assert cloud.log_in("eve", "wrong").status_code == 401
    assert cloud.log_in("eve", PASSWORD).status_code == 401
    cloud.db.write(lambda session: session.execute(
        sa.update(LoginFailures).where(LoginFailures.user_id == ids.canonical(user["id"]))
        .values(locked_until=clock.utcnow())))
    assert cloud.log_in("eve", "wrong").status_code == 401
    assert cloud.log_in("eve", PASSWORD).status_code == 201
    with cloud.db.reading() as session:
        assert session.scalars(sa.select(LoginFailures)).all() == []


def test_projects(cloud: Cloud) -> None:
    project = cloud.make_project("blue", description="sea", tags=["a"])
    assert len(project["id"]) == 32
    assert project["domain_id"] == project["parent_id"] == "default"
    path = f"/projects/{project['id']}"
    assert cloud.call("GET", f"/projects/{ids.canonical(project['id'])}").json["project"] == project
    assert cloud.call("POST", "/projects", {"project": {"name": "blue"}}).status_code == 409
    changed = cloud.call("PATCH", path, {"project": {"name": "green", "enabled": False}}).json["project"]
    assert (changed["name"], changed["enabled"]) == ("green", False)
    listed = cloud.call("GET", "/projects?name=green&domain_id=default&enabled=false").json["projects"]
    assert [one["id"] for one in listed] == [project["id"]]
    assert cloud.call("GET", "/projects?name__icontains=GRE").json["projects"] == listed
    assert cloud.call("GET", "/projects?enabled").json["projects"][0]["name"] == "admin"
    assert cloud.call("PUT", path + "/tags/b").status_code == 201
    assert cloud.call("GET", path + "/tags").json["tags"] == ["a", "b"]
    assert cloud.call("DELETE", path + "/tags/a").status_code == 204
    assert cloud.call("HEAD", path + "/tags/a").status_code == 404
    assert cloud.call("GET", "/projects/green").status_code == 404
    assert cloud.call("DELETE", path).status_code == 204
    assert cloud.call("GET", path).status_code == 404


def test_long_lists_come_in_pages(cloud: Cloud) -> None:
    for number in range(4):
        cloud.make_project(f"p{number}")
    first = cloud.call("GET", "/projects?limit=2").json
    assert [one["name"] for one in first["projects"]] == ["admin", "p0"]
    path, query = first["links"]["next"].split("/identity/v3")[1].split("?")
    second = cloud.call("GET", f"{path}?{query}").json
    assert [one["name"] for one in second["projects"]] == ["p1", "p2"]
    assert cloud.call("GET", "/projects?limit=x").status_code == 400
    assert cloud.call("GET", f"/projects?marker={ids.new_id()}").status_code == 404


def test_a_project_that_holds_something_stays(cloud: Cloud) -> None:
    project = cloud.make_project("full")
    inside = ids.canonical(project["id"]) or ""
    network = Network(id=ids.new_id(), name="n", project_id=inside)
    cloud.db.write(lambda session: session.add(network))
    answer = cloud.call("DELETE", f"/projects/{project['id']}")
    assert answer.status_code == 409
    assert "1 networks" in answer.json["error"]["message"]
    cloud.db.write(lambda session: session.delete(session.get(Network, network.id)))

    def add_leftovers(session: Any) -> None:
        flavor = session.execute(sa.select(Flavor)).scalars().first()
        session.add(Server(project_id=inside, user_id=ids.new_id(), vm_state="deleted", flavor_id=flavor.id, vcpus=1,
                           ram_mib=1, root_gib=1, deleted_at=clock.utcnow()))
        session.add(SecurityGroup(project_id=inside, name="default", default_of=inside, is_default=True))

    cloud.db.write(add_leftovers)
    assert cloud.call("DELETE", f"/projects/{project['id']}").status_code == 204
    with cloud.db.reading() as session:
        assert session.execute(sa.select(sa.func.count()).select_from(Server)).scalar_one() == 0
    assert ImageTag.__table__.foreign_keys  # the rules come from the models


def test_users_and_their_passwords(cloud: Cloud) -> None:
    user = cloud.make_user("ann", email="ann@example.org", description="d")
    assert "password" not in user
    assert user["email"] == "ann@example.org"
    token = cloud.token_of("ann", PASSWORD)
    path = f"/users/{user['id']}"
    assert cloud.call("GET", path, token=token).json["user"]["name"] == "ann"
    assert cloud.call("GET", "/users", token=token).status_code == 403
    assert cloud.call("PATCH", path, {"user": {"name": "x"}}, token=token).status_code == 403
    wrong = {"user": {"password": "new", "original_password": "wrong"}}
    assert cloud.call("POST", path + "/password", wrong, token=token).status_code == 401
    right = {"user": {"password": "new", "original_password": PASSWORD}}
    assert cloud.call("POST", path + "/password", right, token=token).status_code == 204
    assert cloud.call("GET", path, token=token).status_code == 401, "a new password ends the old tokens"
    token = cloud.token_of("ann", "new")
    assert cloud.call("PATCH", path, {"user": {"enabled": False}}).status_code == 200
    assert cloud.call("GET", path, token=token).status_code == 401
    assert cloud.log_in("ann", "new").status_code == 401
    assert cloud.call("PATCH", path, {"user": {"enabled": True}}).status_code == 200
    assert cloud.call("GET", path, token=token).status_code == 401
    assert cloud.call("POST", "/users", {"user": {"name": "ann"}}).status_code == 409
    assert cloud.call("DELETE", path).status_code == 204
    assert cloud.call("GET", path).status_code == 404


def test_roles_are_given_and_taken(cloud: Cloud) -> None:
    user, project, token = cloud.member("bob", "red")
    grants = f"/projects/{project['id']}/users/{user['id']}/roles"
    assert [role["name"] for role in cloud.call("GET", grants).json["roles"]] == ["member"]
    assert cloud.call("HEAD", f"{grants}/{cloud.role('member')}").status_code == 204
    assert cloud.call("HEAD", f"{grants}/{cloud.role('admin')}").status_code == 404
    assert cloud.call("PUT", f"{grants}/{ids.bare(ids.new_id())}").status_code == 404
    assert cloud.call("PUT", f"{grants}/{cloud.role('admin')}", token=token).status_code == 403
    assert cloud.call("GET", f"/projects/{project['id']}", token=token).status_code == 200
    assert cloud.call("DELETE", f"{grants}/{cloud.role('member')}").status_code == 204
    assert cloud.call("DELETE", f"{grants}/{cloud.role('member')}").status_code == 404
    assert cloud.call("GET", f"/projects/{project['id']}", token=token).status_code == 401
    assert cloud.log_in("bob", PASSWORD, project="red").status_code == 401
    assert cloud.call("PUT", f"/system/users/{user['id']}/roles/{cloud.role('reader')}").status_code == 204
    assert cloud.log_in("bob", PASSWORD, scope={"system": {"all": True}}).status_code == 201
    assert cloud.call("PUT", f"/domains/default/users/{user['id']}/roles/{cloud.role('reader')}").status_code == 204


def test_role_assignments(cloud: Cloud) -> None:
    user, project, token = cloud.member("bob", "red")
    answer = cloud.call("GET", f"/role_assignments?user.id={user['id']}&include_names").json["role_assignments"]
    assert len(answer) == 1
    assert answer[0]["role"]["name"] == "member"
    assert answer[0]["scope"]["project"] == {"id": project["id"], "name": "red",
                                             "domain": {"id": "default", "name": "Default"}}
    effective = cloud.call("GET", f"/role_assignments?user.id={user['id']}&effective&include_names=True").json
    assert {item["role"]["name"] for item in effective["role_assignments"]} == {"member", "reader"}
    own = cloud.call("GET", f"/role_assignments?user.id={user['id']}", token=token)
    assert own.status_code == 200
    assert cloud.call("GET", "/role_assignments", token=token).status_code == 403
    assert cloud.call("GET", "/role_assignments?scope.system=all").json["role_assignments"][0]["scope"] == {
        "system": {"all": True}}
    assert cloud.call("GET", "/role_assignments?scope.system=all&scope.domain.id=default").status_code == 400
    assert cloud.call("GET", f"/role_assignments?scope.project.id={project['id']}&role.id={cloud.role('admin')}").json[
        "role_assignments"] == []


def test_roles(cloud: Cloud) -> None:
    role = cloud.call("POST", "/roles", {"role": {"name": "auditor"}}).json["role"]
    assert cloud.call("POST", "/roles", {"role": {"name": "auditor"}}).status_code == 409
    assert cloud.call("PATCH", f"/roles/{role['id']}", {"role": {"name": "checker"}}).json["role"]["name"] == "checker"
    assert cloud.call("DELETE", f"/roles/{role['id']}").status_code == 204
    assert cloud.call("DELETE", f"/roles/{cloud.role('admin')}").status_code == 403
    implied = cloud.call("GET", f"/roles/{cloud.role('admin')}/implies").json["role_inference"]
    assert implied["implies"][0]["name"] == "manager"
    pair = f"/roles/{cloud.role('admin')}/implies/{cloud.role('manager')}"
    assert cloud.call("HEAD", pair).status_code == 204
    assert cloud.call("PUT", pair).status_code == 501
    assert len(cloud.call("GET", "/role_inferences").json["role_inferences"]) == 3


def _credential_log_in(cloud: Cloud, **credential: Any) -> testing.Result:
    wish = {"identity": {"methods": ["application_credential"], "application_credential": credential}}
    return cloud.call("POST", "/auth/tokens", {"auth": wish}, token="")


def test_application_credentials(cloud: Cloud) -> None:
    user, project, token = cloud.member("bob", "red", role="manager")
    path = f"/users/{user['id']}/application_credentials"
    made = cloud.call("POST", path, {"application_credential": {"name": "ci", "roles": [{"name": "member"}]}},
                      token=token).json["application_credential"]
    assert [role["name"] for role in made["roles"]] == ["member"]
    assert made["project_id"] == project["id"]
    assert "secret" not in cloud.call("GET", f"{path}/{made['id']}", token=token).json["application_credential"]
    answer = _credential_log_in(cloud, id=made["id"], secret=made["secret"])
    assert answer.status_code == 201
    assert {role["name"] for role in answer.json["token"]["roles"]} == {"member", "reader"}
    assert answer.json["token"]["application_credential"] == {"id": made["id"], "name": "ci", "restricted": True}
    by_name = _credential_log_in(cloud, name="ci", secret=made["secret"],
                                 user={"name": "bob", "domain": {"id": "default"}})
    assert by_name.status_code == 201
    assert _credential_log_in(cloud, id=made["id"], secret="wrong").status_code == 401
    assert _credential_log_in(cloud, id=ids.new_id(), secret="wrong").status_code == 401
    limited = answer.headers["X-Subject-Token"]
    assert cloud.call("POST", path, {"application_credential": {"name": "more"}}, token=limited).status_code == 403
    assert cloud.call("DELETE", f"{path}/{made['id']}", token=limited).status_code == 403
    again = {"auth": {"identity": {"methods": ["token"], "token": {"id": limited}}}}
    assert cloud.call("POST", "/auth/tokens", again, token="").status_code == 403
    assert cloud.call("POST", path, {"application_credential": {"name": "ci"}}, token=token).status_code == 409
    beyond = {"application_credential": {"name": "x", "roles": [{"name": "admin"}]}}
    assert cloud.call("POST", path, beyond, token=token).status_code == 400
    assert cloud.call("POST", path, {"application_credential": {"name": "x"}}).status_code == 403
    assert [one["name"] for one in cloud.call("GET", path, token=token).json["application_credentials"]] == ["ci"]
    assert cloud.call("DELETE", f"{path}/{made['id']}", token=token).status_code == 204
    assert cloud.call("GET", "/auth/projects", token=limited).status_code == 401


def test_an_application_credential_ends(cloud: Cloud) -> None:
    user, _, token = cloud.member("bob", "red")
    path = f"/users/{user['id']}/application_credentials"
    for bad in ("2020-01-01T00:00:00", "soon"):
        body = {"application_credential": {"name": "x", "expires_at": bad}}
        assert cloud.call("POST", path, body, token=token).status_code == 400
    soon = clock.iso_micro(clock.utcnow() + dt.timedelta(minutes=5))
    made = cloud.call("POST", path, {"application_credential": {"name": "x", "expires_at": soon}}, token=token)
    credential = made.json["application_credential"]
    assert credential["expires_at"] == soon
    answer = _credential_log_in(cloud, id=credential["id"], secret=credential["secret"])
    assert answer.json["token"]["expires_at"] == f"{soon}Z"


def test_domains(cloud: Cloud) -> None:
    domain = cloud.call("POST", "/domains", {"domain": {"name": "other"}}).json["domain"]
    cloud.make_project("blue")
    cloud.make_project("blue", domain_id=domain["id"])
    assert cloud.call("POST", "/domains", {"domain": {"name": "other"}}).status_code == 409
    assert cloud.call("DELETE", f"/domains/{domain['id']}").status_code == 403
    assert cloud.call("PATCH", f"/domains/{domain['id']}", {"domain": {"enabled": False}}).status_code == 200
    assert cloud.call("DELETE", f"/domains/{domain['id']}").status_code == 409
    assert cloud.call("PATCH", "/domains/default", {"domain": {"enabled": False}}).status_code == 403
    assert {one["name"] for one in cloud.call("GET", "/domains").json["domains"]} == {"Default", "other"}
    assert cloud.call("GET", "/domains/default").json["domain"]["name"] == "Default"
    inside = cloud.call("GET", f"/projects?domain_id={domain['id']}").json["projects"][0]
    assert cloud.call("DELETE", f"/projects/{inside['id']}").status_code == 204
    assert cloud.call("DELETE", f"/domains/{domain['id']}").status_code == 204


def test_the_catalog_can_be_read_but_not_changed(cloud: Cloud) -> None:
    services = cloud.call("GET", "/services?type=compute").json["services"]
    assert [one["name"] for one in services] == ["compute"]
    endpoints = cloud.call("GET", f"/endpoints?service_id={services[0]['id']}&interface=public").json["endpoints"]
    assert len(endpoints) == 1
    assert cloud.call("GET", f"/endpoints/{endpoints[0]['id']}").status_code == 200
    assert cloud.call("GET", "/regions/RegionOne").status_code == 200
    assert cloud.call("GET", "/services/compute").status_code == 404
    assert cloud.call("POST", "/services", {"service": {"type": "x"}}).status_code == 501


def test_what_is_not_there_says_so(cloud: Cloud) -> None:
    assert cloud.call("GET", "/credentials").json["credentials"] == []
    assert cloud.call("GET", "/credentials/x").status_code == 404
    assert cloud.call("POST", "/credentials", {"credential": {"type": "x"}}).status_code == 501
    for item in ("identity_providers/x", "mappings/x", "service_providers/x"):  # made by PUT
        assert cloud.call("GET", f"/OS-FEDERATION/{item}").status_code == 404
        assert cloud.call("PUT", f"/OS-FEDERATION/{item}", {}).status_code == 501
    assert cloud.call("GET", "/limits/model").json["model"]["name"] == "flat"
    missing = cloud.call("GET", "/nowhere")
    assert missing.status_code == 404
    assert missing.json["error"]["title"] == "Not Found"
    assert cloud.call("PUT", "/projects", {}).status_code == 405


_BAD_BODIES = [
    ("/projects", {"project": {}}), ("/projects", {"project": {"name": 7}}), ("/projects", {"project": {"name": ""}}),
    ("/projects", {"project": {"name": "  "}}), ("/projects", {"project": {"name": "x" * 65}}),
    ("/projects", {"project": {"name": "a\x00b"}}), ("/projects", {"project": {"name": "a", "options": {"x": True}}}),
    ("/projects", {"project": {"name": "a", "enabled": "yes"}}), ("/projects", {"name": "a"}), ("/projects", []),
    ("/projects", {"project": {"name": "a", "parent_id": "f" * 32}}),
    ("/projects", {"project": {"name": "a", "domain_id": "f" * 32}}),
    ("/projects", {"project": {"name": "a", "description": "x" * 2049}}),
    ("/users", {"user": {"name": "a", "password": 5}}), ("/users", {"user": {"name": "a", "domain_id": "x y"}}),
    ("/users", {"user": {"name": "a", "default_project_id": "f" * 31}}),
    ("/groups", {"group": {}}), ("/groups", {"group": {"name": "x" * 256}}),
    ("/groups", {"group": {"name": "a", "description": "x" * 2049}}),
    ("/roles", {"role": {"name": None}}), ("/domains", {"domain": {"name": ["x"]}}),
    ("/auth/tokens", {}), ("/auth/tokens", {"auth": {"identity": {"methods": []}}}),
    ("/auth/tokens", {"auth": {"identity": {"methods": ["password"]}}}),
    ("/auth/tokens", {"auth": {"identity": {"methods": ["password"], "password": {"user": {"name": "x",
                                                                                          "password": "y"}}}}}),
    ("/auth/tokens", {"auth": {"identity": {"methods": ["token"], "token": {"id": 5}}}}),
    ("/auth/tokens", {"auth": {"identity": {"methods": ["token"], "token": {"id": "x"}},
                               "scope": {"project": {"id": "a"}, "system": {"all": True}}}}),
]


@pytest.mark.parametrize(("path", "body"), _BAD_BODIES)
def test_bad_bodies_are_refused(cloud: Cloud, path: str, body: Any) -> None:
    answer = cloud.call("POST", path, body)
    assert answer.status_code == 400, answer.text
    assert answer.json["error"].keys() == {"code", "message", "title"}


def test_an_error_does_not_repeat_a_password(cloud: Cloud) -> None:
    body = {"auth": {"identity": {"methods": ["password"], "password": {"user": {"password": "hunter2"}}}}}
    answer = cloud.call("POST", "/auth/tokens", body, token="")
    assert answer.status_code == 400
    assert "hunter2" not in answer.text


_ADMINS_ONLY = [
    ("GET", "/projects", None), ("POST", "/projects", {"project": {"name": "x"}}),
    ("GET", "/users", None), ("POST", "/users", {"user": {"name": "x"}}), ("POST", "/roles", {"role": {"name": "x"}}),
    ("GET", "/groups", None), ("POST", "/groups", {"group": {"name": "x"}}),
    ("GET", "/users/{admin}/groups", None), ("GET", "/groups/{unknown}/users", None),
    ("PUT", "/groups/{unknown}/users/{admin}", None),
    ("GET", "/domains", None), ("POST", "/domains", {"domain": {"name": "x"}}), ("GET", "/services", None),
    ("GET", "/endpoints", None), ("GET", "/role_assignments", None), ("GET", "/projects/{foreign}", None),
    ("DELETE", "/projects/{foreign}", None), ("PATCH", "/projects/{own}", {"project": {"name": "x"}}),
    ("GET", "/users/{admin}", None), ("DELETE", "/users/{admin}", None), ("GET", "/users/{admin}/projects", None),
    ("GET", "/users/{admin}/application_credentials", None), ("GET", "/projects/{unknown}", None),
]


@pytest.mark.parametrize(("method", "path", "body"), _ADMINS_ONLY)
def test_members_may_not(cloud: Cloud, method: str, path: str, body: Any) -> None:
    _, project, token = cloud.member("bob", "red")
    filled = path.format(foreign=ids.bare(cloud.made.admin_project_id), own=project["id"], unknown="f" * 32,
                         admin=ids.bare(cloud.made.admin_user_id))
    assert cloud.call(method, filled, body, token=token).status_code == 403
    assert cloud.call(method, filled, body, token="").status_code == 401


def test_a_members_token_is_their_own_business(cloud: Cloud) -> None:
    _, _, token = cloud.member("bob", "red")
    assert cloud.call("GET", "/auth/tokens", token=token, X_Subject_Token=token).status_code == 200
    assert cloud.call("GET", "/auth/tokens", token=token, X_Subject_Token=cloud.admin).status_code == 403
    assert cloud.call("DELETE", "/auth/tokens", token=token, X_Subject_Token=cloud.admin).status_code == 403
    assert cloud.call("GET", "/auth/tokens", X_Subject_Token=token).status_code == 200
