"""Secrets of application credentials could be guessed without end; only passwords were counted by source and user."""

from __future__ import annotations

from falcon import testing

from hostler import ids
from tests.harness.identity_rest import PASSWORD, IdentityApi

LIMIT = 3  # of the fixture


def log_in(api: IdentityApi, credential: dict[str, object], source: str) -> testing.Result:
    return api.client.simulate_post("/identity/v3/auth/tokens", remote_addr=source, json={"auth": {"identity": {
        "methods": ["application_credential"], "application_credential": credential}}})


def test_wrong_secrets_count_by_source_and_user_however_the_credential_is_named(identity_api: IdentityApi) -> None:
    name = ids.bare(ids.new_id())
    user, _, token = identity_api.member(name, f"project-{name}")
    made = identity_api.call("POST", f"/users/{user['id']}/application_credentials", {
        "application_credential": {"name": "ci"}}, token=token).json["application_credential"]
    right = {"id": made["id"], "secret": made["secret"]}
    assert log_in(identity_api, right, "192.0.2.1").status_code == 201
    for wrong in ({"id": made["id"], "secret": "guess"}, {"name": "ci", "user": {"id": user["id"]}, "secret": "guess"},
                  {"id": made["id"], "secret": made["secret"][1:]}):
        assert log_in(identity_api, wrong, "192.0.2.1").status_code == 401
    assert log_in(identity_api, right, "192.0.2.1").status_code == 401
    assert log_in(identity_api, right, "192.0.2.2").status_code == 201
    guess_of_password = {"methods": ["password"], "password": {"user": {"id": user["id"], "password": PASSWORD}}}
    answer = identity_api.client.simulate_post("/identity/v3/auth/tokens", remote_addr="192.0.2.1", json={
        "auth": {"identity": guess_of_password}})
    assert answer.status_code == 401, "the pair is refused, whatever proves the user"
