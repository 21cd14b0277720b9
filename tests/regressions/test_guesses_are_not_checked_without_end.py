"""One address kept an api's processors busy with wrong passwords: each was checked, also those of users nobody has."""

from __future__ import annotations

from pathlib import Path

import pytest
from falcon import testing

from hostler.identity import passwords
from tests.harness import identity_rest
from tests.harness.identity_rest import IdentityApi

BURST = 5


def log_in(api: IdentityApi, name: str, password: str, source: str) -> testing.Result:
    return api.client.simulate_post("/identity/v3/auth/tokens", remote_addr=source, json={"auth": {"identity": {
        "methods": ["password"], "password": {"user": {"name": name, "domain": {"id": "default"},
                                                       "password": password}}}}})


def test_an_address_gets_so_many_wrong_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given five guesses at a time, when a sixth comes, then it is told to wait, unchecked; others log in."""
    with identity_rest.serving(f"sqlite:///{tmp_path / 'guesses.db'}", tmp_path, **{
            "api.failed_login_rate": 1, "api.failed_login_burst": BURST}) as api:
        right = api.made.admin_password or ""
        for number in range(BURST):
            assert log_in(api, f"nobody{number}", "guess", "192.0.2.1").status_code == 401
        for _ in range(2 * BURST):
            assert log_in(api, "admin", right, "192.0.2.2").status_code == 201, "what is right does not count"

        with monkeypatch.context() as patch:
            patch.setattr(passwords, "password_matches", lambda *_: pytest.fail("it was checked"))
            refused = log_in(api, "admin", "guess", "192.0.2.1")

        assert refused.status_code == 429
        assert 1 <= int(refused.headers["Retry-After"]) <= 60
        assert "error" in refused.json
        assert log_in(api, "admin", right, "192.0.2.2").status_code == 201
