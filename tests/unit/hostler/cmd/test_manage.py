"""The operator's commands, as typed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from hostler import ids
from hostler.cmd import manage, running
from hostler.db.engine import Database
from hostler.db.models import Domain, Project, ServerGroup


@pytest.fixture
def type_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    config = tmp_path / "hostler.conf"
    config.write_text(f"[DEFAULT]\nstate_path = {tmp_path}\n[identity]\npassword_rounds = 4\n")

    monkeypatch.setattr(running, "set_up_logging", lambda *_: None)  # of this process, it is the tests' own

    def run(*words: str) -> None:
        monkeypatch.setattr(sys, "argv", ["hostler-manage", "--config-file", str(config), *words])
        manage.main()

    return run


@pytest.mark.parametrize("words", [("operations",), ("db", "purge"), ("bootstrap",)])
def test_without_a_schema_each_command_says_what_to_do(type_in: object, words: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit, match="hostler-manage db upgrade"):
        type_in(*words)  # type: ignore[operator]


def test_a_new_cloud_is_made_and_may_be_made_again(type_in: object, tmp_path: Path,
                                                   capsys: pytest.CaptureFixture[str]) -> None:
    for words in (("db", "upgrade"), ("db-upgrade",), ("bootstrap", "--admin-password", "secret"), ("bootstrap",),
                  ("operations", "--all"), ("db", "purge", "--older-than-days", "0"), ("identity", "rotate-keys")):
        type_in(*words)  # type: ignore[operator]
    said = capsys.readouterr().out
    assert "The schema is at" in said
    assert "nothing, all was there" in said
    assert (tmp_path / "openrc").stat().st_mode & 0o077 == 0


def test_an_unknown_command_is_refused_with_the_known_ones(type_in: object, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        type_in("dance")  # type: ignore[operator]
    assert "bootstrap" in capsys.readouterr().err


def test_a_server_groups_policy_is_set_shown_and_taken_back(type_in: object, tmp_path: Path,
                                                            capsys: pytest.CaptureFixture[str]) -> None:
    type_in("db", "upgrade")  # type: ignore[operator]
    database, project_id, group_id = Database(f"sqlite:///{tmp_path}/hostler.db"), ids.new_id(), ids.new_id()
    database.write(lambda session: session.add_all([
        Domain(id=project_id, name="all"), Project(id=project_id, name="one", domain_id=project_id),
        ServerGroup(id=group_id, name="web", project_id=project_id, user_id=ids.new_id(), policy="affinity")]))
    shown = []
    for wanted in ("restart", "none", "unset"):
        type_in("server-group", "set", group_id, "--on-host-failure", wanted)  # type: ignore[operator]
        capsys.readouterr()
        type_in("server-group", "list")  # type: ignore[operator]
        shown.append(capsys.readouterr().out.split())
    assert shown == [[group_id, "affinity", wanted, "web"] for wanted in ("restart", "none", "unset")]
    for words in ((ids.new_id(), "--on-host-failure", "restart"), ("gone", "--on-host-failure", "restart"),
                  (group_id, "--on-host-failure", "reboot"), (group_id,)):
        with pytest.raises(SystemExit) as refused:
            type_in("server-group", "set", *words)  # type: ignore[operator]
        assert refused.value.code != 0
    database.dispose()
