"""hostler-manage bus-user, with a program in the place of rabbitmqctl that writes down what it is asked."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hostler.bus.permissions import permissions_of
from hostler.bus.senders import Sender
from hostler.cmd import manage, running

TypeIn = Callable[..., str]
RABBITMQCTL = """import json, pathlib, sys
here = pathlib.Path(__file__).parent
with (here / "asked").open("a") as asked:
    asked.write(json.dumps([*sys.argv[1:], sys.stdin.read()]) + "\\n")
answer = here / sys.argv[1]
if answer.with_suffix(".error").exists():
    sys.exit(answer.with_suffix(".error").read_text())
print(answer.read_text() if answer.exists() else "")
"""


@pytest.fixture
def type_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> TypeIn:
    config = tmp_path / "hostler.conf"
    config.write_text(f"[DEFAULT]\nstate_path = {tmp_path}\n"
                      "transport_url = rabbit://conductor:x@mq1:5671,conductor:x@mq2:5671/hostler\n")
    (tmp_path / "rabbitmqctl.py").write_text(RABBITMQCTL)
    monkeypatch.setattr(running, "set_up_logging", lambda *_: None)

    def run(*words: str) -> str:
        monkeypatch.setattr(sys, "argv", ["hostler-manage", "--config-file", str(config), "bus-user", *words,
                                          "--rabbitmqctl", f"{sys.executable} {tmp_path / 'rabbitmqctl.py'}"])
        manage.main()
        return capsys.readouterr().out

    return run


def _asked(directory: Path) -> list[list[str]]:
    return [json.loads(line) for line in (directory / "asked").read_text().splitlines()]


def test_a_user_is_made_and_its_configuration_shown(type_in: TypeIn, tmp_path: Path) -> None:
    said = type_in("add", "compute", "host1")
    url = r"rabbit://compute\.host1:([\w-]{40,})@mq1:5671,compute\.host1:\1@mq2:5671/hostler\n"
    password = re.findall(url, said)[0]
    wanted = permissions_of(Sender("compute", "host1"))
    assert _asked(tmp_path) == [
        ["add_user", "compute.host1", f"{password}\n"],
        ["set_permissions", "-p", "hostler", "compute.host1", wanted.configure, wanted.write, wanted.read, ""],
        ["set_topic_permissions", "-p", "hostler", "compute.host1", "amq.topic", wanted.topic_write, wanted.topic_read,
         ""]]
    assert "verify_senders = true" in said


def test_a_configuration_with_tls_is_passed_on(type_in: TypeIn, tmp_path: Path) -> None:
    with (tmp_path / "hostler.conf").open("a") as config:
        config.write("[oslo_messaging_rabbit]\nssl = true\nssl_ca_file = /etc/hostler/tls/ca-cert.pem\n")
    assert type_in("add", "api").endswith("[bus]\nverify_senders = true\n\n[oslo_messaging_rabbit]\nssl = true\n"
                                          "ssl_ca_file = /etc/hostler/tls/ca-cert.pem\n")


def test_a_known_user_keeps_its_password(type_in: TypeIn, tmp_path: Path) -> None:
    (tmp_path / "add_user.error").write_text('Error:\nUser "api" already exists')
    said = type_in("add", "api", "--vhost", "other")
    assert "kept" in said
    assert "transport_url" not in said
    assert [words[:3] for words in _asked(tmp_path)[1:]] == [["set_permissions", "-p", "other"],
                                                             ["set_topic_permissions", "-p", "other"]]


def test_a_new_password_closes_the_connections_of_the_old(type_in: TypeIn, tmp_path: Path) -> None:
    assert "rabbit://volume.node1:" in type_in("rotate", "volume", "node1")
    assert [words[:2] for words in _asked(tmp_path)] == [["change_password", "volume.node1"],
                                                         ["close_all_user_connections", "volume.node1"]]


def test_a_user_is_removed(type_in: TypeIn, tmp_path: Path) -> None:
    assert type_in("remove", "scheduler") == "removed: scheduler\n"
    assert _asked(tmp_path) == [["delete_user", "scheduler", ""]]


def test_commands_are_printed_and_not_run(type_in: TypeIn, tmp_path: Path) -> None:
    said = type_in("add", "conductor", "--print")
    assert not (tmp_path / "asked").exists()
    password = re.findall("rabbit://conductor:(.*?)@", said)[0]
    assert f"add_user conductor {password}\n" in said
    assert "set_topic_permissions -p hostler conductor amq.topic '^(" in said


def test_a_list_shows_whose_permissions_do_not_fit(type_in: TypeIn, tmp_path: Path) -> None:
    def row(user: str, **more: str) -> dict[str, str]:
        wanted = permissions_of(Sender.of_user(user))
        return {"user": user, "configure": wanted.configure, "write": wanted.write, "read": wanted.read, **more}

    (tmp_path / "list_permissions").write_text(json.dumps([
        row("api"), row("compute.host1"), row("volume.node1", write=".*"),
        {"user": "hostler", "configure": ".*", "write": ".*", "read": ".*"}]))
    wanted = permissions_of(Sender("api"))
    (tmp_path / "list_topic_permissions").write_text(json.dumps([
        {"user": "api", "exchange": "amq.topic", "write": wanted.topic_write, "read": wanted.topic_read}]))
    assert type_in("list").splitlines() == [
        "api: as it should be", "compute.host1: other permissions: bus-user add compute host1",
        "hostler: not a user of one service: may be anything its permissions allow",
        "volume.node1: other permissions: bus-user add volume node1"]


@pytest.mark.parametrize("words", [("add", "compute"), ("add", "api", "host1"), ("rotate", "volume", "a*"),
                                   ("add", "compute", "host1", "--print", "--vhost", "x", "extra")])
def test_a_user_of_no_service_is_refused(type_in: TypeIn, words: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit):
        type_in(*words)


def test_what_rabbitmqctl_says_is_passed_on(type_in: TypeIn, tmp_path: Path) -> None:
    (tmp_path / "delete_user.error").write_text('Error:\nUser "api" does not exist')
    with pytest.raises(SystemExit, match='rabbitmqctl delete_user: Error: User "api" does not exist'):
        type_in("remove", "api")
