"""Ten wrong guesses from anywhere locked the cloud's administrator out, for everybody."""

from __future__ import annotations

import threading

import pytest
import sqlalchemy as sa
from falcon import testing

from hostler import ids
from hostler.db.models import LoginFailures
from hostler.identity import lockout
from tests.harness.identity_rest import PASSWORD, IdentityApi

LIMIT = 3  # of the fixture


def log_in(api: IdentityApi, name: str, password: str, source: str) -> testing.Result:
    return api.client.simulate_post("/identity/v3/auth/tokens", remote_addr=source, json={"auth": {"identity": {
        "methods": ["password"], "password": {"user": {"name": name, "domain": {"id": "default"},
                                                       "password": password}}}}})


@pytest.fixture
def name(identity_api: IdentityApi) -> str:
    return str(identity_api.make_user(ids.bare(ids.new_id()))["name"])


def test_guesses_lock_out_the_guesser_only(identity_api: IdentityApi, name: str) -> None:
    for _ in range(LIMIT):
        assert log_in(identity_api, name, "guess", "192.0.2.1").status_code == 401
    assert log_in(identity_api, name, PASSWORD, "192.0.2.1").status_code == 401
    assert log_in(identity_api, name, PASSWORD, "192.0.2.2").status_code == 201
    assert log_in(identity_api, name, PASSWORD, "192.0.2.1").status_code == 401, "a success elsewhere unlocks nothing"


def test_a_network_of_ipv6_is_one_guesser(identity_api: IdentityApi, name: str) -> None:
    for number in range(LIMIT):
        assert log_in(identity_api, name, "guess", f"2001:db8:0:1::{number}").status_code == 401
    assert log_in(identity_api, name, PASSWORD, "2001:db8:0:1:ffff::1").status_code == 401
    assert log_in(identity_api, name, PASSWORD, "2001:db8:0:2::1").status_code == 201


def test_guesses_at_the_same_time_all_count(identity_api: IdentityApi, name: str) -> None:
    threads = [threading.Thread(target=log_in, args=(identity_api, name, "guess", "192.0.2.3")) for _ in range(LIMIT)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert log_in(identity_api, name, PASSWORD, "192.0.2.3").status_code == 401


def test_a_new_password_unlocks_and_a_deleted_user_leaves_nothing(identity_api: IdentityApi, name: str) -> None:
    for _ in range(LIMIT):
        log_in(identity_api, name, "guess", "192.0.2.4")
    user = identity_api.call("GET", f"/users?name={name}").json["users"][0]
    path = f"/users/{user['id']}"
    assert identity_api.call("PATCH", path, {"user": {"password": "another one"}}).status_code == 200
    assert log_in(identity_api, name, "another one", "192.0.2.4").status_code == 201
    log_in(identity_api, name, "guess", "192.0.2.4")
    assert identity_api.call("DELETE", path).status_code == 204
    with identity_api.db.reading() as session:
        rows = session.scalars(sa.select(LoginFailures).where(LoginFailures.user_id == ids.canonical(user["id"]))).all()
    assert rows == []


@pytest.mark.parametrize(("address", "source"), [
    ("192.0.2.1", "192.0.2.1"), ("::ffff:192.0.2.1", "192.0.2.1"), ("2001:db8::5", "2001:db8::/64"), (None, ""),
    ("unix:/run/proxy", "")])
def test_sources(address: str | None, source: str) -> None:
    assert lockout.source_of(address) == source
