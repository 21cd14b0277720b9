"""The operator's commands, as typed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from hostler.cmd import manage, running


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
