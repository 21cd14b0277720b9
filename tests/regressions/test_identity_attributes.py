"""Attributes of one's own and options of projects, users and roles were refused; names had limits of our own."""

from __future__ import annotations

from typing import Any

import pytest

from hostler import ids
from tests.harness.identity_rest import PASSWORD, IdentityApi

EXTRA = {"cost_center": "4711", "contact": {"mail": "a@example.org", "days": [1, 2]}, "ratio": 0.5, "open": None,
         "umlaut": "Größe 🐴"}


def make(api: IdentityApi, noun: str, **values: Any) -> dict[str, Any]:
    answer = api.call("POST", f"/{noun}s", {noun: {"name": ids.bare(ids.new_id()), **values}})
    assert answer.status_code == 201, answer.text
    return dict(answer.json[noun])


@pytest.mark.parametrize("noun", ["project", "user", "role"])
def test_attributes_of_ones_own_are_kept(identity_api: IdentityApi, noun: str) -> None:
    made = make(identity_api, noun, **EXTRA)
    assert EXTRA.items() <= made.items()
    path = f"/{noun}s/{made['id']}"
    assert identity_api.call("GET", path).json[noun] == made
    assert made in identity_api.call("GET", f"/{noun}s?name={made['name']}").json[f"{noun}s"]
    changed = identity_api.call("PATCH", path, {noun: {"cost_center": "9", "added": True}}).json[noun]
    assert changed == {**made, "cost_center": "9", "added": True}
    assert identity_api.call("PATCH", path, {noun: {"links": {"self": "mine"}}}).json[noun] == changed
    assert identity_api.call("PATCH", path, {noun: {"id": "f" * 32}}).status_code == 400
    assert identity_api.call("PATCH", path, {noun: {}}).status_code == 400


def test_domains_have_no_attributes_of_ones_own(identity_api: IdentityApi) -> None:
    answer = identity_api.call("POST", "/domains", {"domain": {"name": "d", "colour": "blue"}})
    assert answer.status_code == 400 and "colour" in answer.json["error"]["message"]
    chosen = ids.bare(ids.new_id())
    made = make(identity_api, "domain", explicit_domain_id=chosen, tags=["a"])
    assert made["id"] == chosen and made["tags"] == ["a"]


@pytest.mark.parametrize(("noun", "length"), [("project", 64), ("domain", 64), ("user", 255), ("role", 255)])
def test_names_are_as_long_as_published(identity_api: IdentityApi, noun: str, length: int) -> None:
    assert make(identity_api, noun, name="ü" * length)["name"] == "ü" * length
    for method, path in (("POST", f"/{noun}s"), ("PATCH", f"/{noun}s/{make(identity_api, noun)['id']}")):
        answer = identity_api.call(method, path, {noun: {"name": "x" * (length + 1)}})
        assert answer.status_code == 400 and "name" in answer.json["error"]["message"]
    padded = make(identity_api, noun, name=" padded ")
    assert padded["name"] == "padded"


@pytest.mark.parametrize("noun", ["project", "domain", "role"])
def test_an_immutable_resource_stays_as_it_is(identity_api: IdentityApi, noun: str) -> None:
    made = make(identity_api, noun, options={"immutable": True})
    assert made["options"] == {"immutable": True}
    path = f"/{noun}s/{made['id']}"
    both = {"options": {"immutable": False}, "description": "x"}
    for body in ({"description": "x"}, {"options": {"immutable": True}}, both):
        assert identity_api.call("PATCH", path, {noun: body}).status_code == 403
    if noun == "project":
        assert identity_api.call("PUT", path + "/tags/a").status_code == 403
    if noun != "domain":  # an enabled one cannot be deleted anyhow
        assert identity_api.call("DELETE", path).status_code == 403
    assert identity_api.call("PATCH", path, {noun: {"options": {"immutable": None}}}).json[noun]["options"] == {}
    assert identity_api.call("PATCH", path, {noun: {"description": "x"}}).status_code == 200


def test_options_of_users_are_kept_and_obeyed(identity_api: IdentityApi) -> None:
    user = make(identity_api, "user", password=PASSWORD, options={"ignore_lockout_failure_attempts": True,
                                                                  "lock_password": True})
    path = f"/users/{user['id']}"
    for _ in range(4):
        assert identity_api.log_in(user["name"], "wrong").status_code == 401
    token = identity_api.token_of(user["name"], PASSWORD)
    change = {"user": {"password": "new", "original_password": PASSWORD}}
    assert identity_api.call("POST", path + "/password", change, token=token).status_code == 400
    options = {"lock_password": None, "ignore_password_expiry": True}
    changed = identity_api.call("PATCH", path, {"user": {"options": options}}).json["user"]["options"]
    assert changed == {"ignore_lockout_failure_attempts": True, "ignore_password_expiry": True}
    assert identity_api.call("POST", path + "/password", change, token=token).status_code == 204
    for bad in ({"unknown": True}, {"lock_password": "often"}, {"multi_factor_auth_rules": [[]]},
                {"multi_factor_auth_rules": "password"}):
        answer = identity_api.call("PATCH", path, {"user": {"options": bad}})
        assert answer.status_code == 400 and "options" in answer.json["error"]["message"]


@pytest.mark.parametrize(("rules", "status"), [
    ([["password", "token"]], 401), ([["password", "totp"]], 201), ([["totp"]], 201), ([["token"], ["password"]], 201),
    ([], 201)])
def test_rules_of_several_factors_are_obeyed(identity_api: IdentityApi, rules: list[list[str]], status: int) -> None:
    user = make(identity_api, "user", password=PASSWORD, options={"multi_factor_auth_rules": rules})
    assert identity_api.log_in(user["name"], PASSWORD).status_code == status
    off = {"user": {"options": {"multi_factor_auth_enabled": False}}}
    assert identity_api.call("PATCH", f"/users/{user['id']}", off).json["user"]["options"][
        "multi_factor_auth_rules"] == rules
    assert identity_api.log_in(user["name"], PASSWORD).status_code == 201


def test_an_unknown_domain(identity_api: IdentityApi) -> None:
    for noun, status in (("project", 400), ("user", 404)):
        answer = identity_api.call("POST", f"/{noun}s", {noun: {"name": "lost", "domain_id": "f" * 32}})
        assert answer.status_code == status and "f" * 32 in answer.json["error"]["message"]


def test_a_default_project_need_not_exist(identity_api: IdentityApi) -> None:
    user = make(identity_api, "user", password=PASSWORD, default_project_id="f" * 32)
    assert user["default_project_id"] == "f" * 32
    assert "project" not in identity_api.log_in(user["name"], PASSWORD).json["token"]


@pytest.mark.parametrize("tag", [".", "..", "a/b", "a,b", "", "%2e"])
def test_tags_that_a_path_cannot_carry(identity_api: IdentityApi, tag: str) -> None:
    answer = identity_api.call("POST", "/projects", {"project": {"name": "tagged", "tags": [tag]}})
    assert answer.status_code == 400 and "tags" in answer.json["error"]["message"]
    project = make(identity_api, "project")
    assert identity_api.call("PUT", f"/projects/{project['id']}/tags", {"tags": [tag]}).status_code == 400


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
def test_a_token_that_is_none_is_not_found(identity_api: IdentityApi, method: str) -> None:
    user = make(identity_api, "user", password=PASSWORD)
    mine = identity_api.token_of(user["name"], PASSWORD)
    for token in (mine, identity_api.admin):
        for subject in ("nonsense", "gAAAAA" + "x" * 80):
            assert identity_api.call(method, "/auth/tokens", token=token, X_Subject_Token=subject).status_code == 404
    assert identity_api.call(method, "/auth/tokens", token=mine).status_code == 403
    assert identity_api.call(method, "/auth/tokens").status_code == 404


def test_a_service_reads_tokens_but_revokes_none(identity_api: IdentityApi) -> None:
    name = ids.bare(ids.new_id())
    _, _, token = identity_api.member(name, name, "service")
    subject = identity_api.token_of("admin", identity_api.made.admin_password or "", project="admin")
    assert identity_api.call("GET", "/auth/tokens", token=token, X_Subject_Token=subject).status_code == 200
    for method in ("HEAD", "DELETE"):
        assert identity_api.call(method, "/auth/tokens", token=token, X_Subject_Token=subject).status_code == 403
    assert identity_api.call("GET", "/auth/tokens", X_Subject_Token=subject).status_code == 200
