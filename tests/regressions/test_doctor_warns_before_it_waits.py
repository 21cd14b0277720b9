"""hostler-manage doctor told nothing of weak settings where the database or a conductor did not answer: it waited ten
minutes in silence, or ended with the failure alone. Those who have just set up a cloud, carelessly, see exactly that.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

from hostler import conf as hostler_conf
from hostler.cmd import doctor as doctor_command
from hostler.cmd import manage, running
from hostler.db import schema
from hostler.db.engine import Database
from hostler.db.models import Lock

WARNING = "warning: [volume] insecure_exports gives volumes to anyone who reaches their ports\n"
Doctor = Callable[..., tuple[int, str, str]]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A careless operator's configuration."""
    file = tmp_path / "hostler.conf"
    file.write_text(f"[DEFAULT]\nstate_path = {tmp_path}\n[volume]\ninsecure_exports = true\n")
    return file


@pytest.fixture
def doctor(config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Doctor:
    """The command as typed: status, output, errors."""
    monkeypatch.setattr(running, "set_up_logging", lambda *_: None)

    def call(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["hostler-manage", "--config-file", str(config), "doctor", *words])
        with pytest.raises(SystemExit) as ended:
            manage.main()
        return (int(str(ended.value.code)), *capsys.readouterr())

    return call


@pytest.fixture
def database(config: Path) -> Database:
    """A database that no conductor serves."""
    database = Database.from_conf(hostler_conf.load([], config_files=[str(config)]))
    schema.upgrade(database)
    return database


def test_it_warns_when_no_conductor_answers(doctor: Doctor, database: Database) -> None:
    status, said, errors = doctor("--timeout", "0.1")
    assert status == 2
    assert WARNING in said
    assert "waits up to 0.1 s for a conductor's report" in errors
    assert "the cloud was not examined: no report within 0.1 s: no conductor took it up" in errors


def test_it_warns_when_the_database_is_missing(doctor: Doctor) -> None:
    status, said, errors = doctor()
    assert status == 2
    assert WARNING in said
    assert "the cloud was not examined: The database's schema is at nothing" in errors


def test_programs_get_the_settings_too(doctor: Doctor) -> None:
    status, said, _ = doctor("--json")
    found: dict[str, Any] = json.loads(said)
    assert status == 2
    assert "The database's schema is at nothing" in found["error"]
    assert "[volume] insecure_exports" in [weak["setting"] for weak in found["settings"]]


def test_an_interrupted_doctor_keeps_no_other_out(doctor: Doctor, database: Database,
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(doctor_command, "_wait", interrupt)
    assert doctor()[0] == 2
    with database.reading() as session:
        assert session.query(Lock).all() == []


def test_configurations_of_other_services_beside_it_are_looked_at(doctor: Doctor, config: Path) -> None:
    config.chmod(0o640)
    secret, closed = config.parent / "agent.conf", config.parent / "volume.conf"
    service = config.parent / "hostler-api.conf.d" / "bus.conf"
    service.parent.mkdir()
    for file, mode in ((secret, 0o644), (closed, 0o640), (service, 0o604)):
        file.write_text("[DEFAULT]\ntransport_url = rabbit://api:Xq9v@192.0.2.1/\n")
        file.chmod(mode)
    _, said, _ = doctor("--settings")
    named = [line for line in said.splitlines() if "holds a password" in line]
    assert sorted(line.split()[1] for line in named) == [str(secret), str(service)]


def test_the_database_and_the_audit_trail_are_secrets(doctor: Doctor, config: Path) -> None:
    files = [config.parent / "audit.log", config.parent / "hostler.db"]
    for mode, expected in ((0o644, files), (0o600, [])):
        for file in files:
            file.touch()
            file.chmod(mode)
        _, said, _ = doctor("--settings")
        assert sorted(line.split()[1] for line in said.splitlines() if "tells of users" in line) == [
            str(file) for file in expected]
