"""What doctor warns of: each weak setting, and the strong ones that must not be warned of."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hostler import conf as hostler_conf
from hostler.cmd import manage, running, weak_settings
from hostler.db import schema, version
from hostler.db.engine import Database
from hostler.db.models import Domain, User
from hostler.identity import passwords

GOOD = {
    "transport_url": "rabbit://conductor:Xq9v@mq.example.org:5671/hostler", "bus.verify_senders": True,
    "oslo_messaging_rabbit.ssl": True, "oslo_messaging_rabbit.ssl_ca_file": "/etc/ca.pem",
    "database.connection": "postgresql+psycopg://h:Xq9v@db.example.org/h?sslmode=verify-full&sslrootcert=/etc/ca.pem",
    "api.tls_certificate": "/etc/chain.pem", "console.tls_certificate": "/etc/chain.pem"}
Find = Callable[..., list[str]]


@pytest.fixture
def find(tmp_path: Path) -> Find:
    """The settings warned of, for a configuration that is good but for what is said."""
    def run(**changes: Any) -> list[str]:
        values = {**GOOD, "state_path": tmp_path, **{name.replace("__", "."): value for name, value in changes.items()}}
        lines: dict[str, list[str]] = {}
        for name, value in values.items():
            group, _, option = name.rpartition(".")
            lines.setdefault(group or "DEFAULT", []).append(f"{option} = {value}")
        file = tmp_path / "hostler.conf"
        file.write_text("\n".join("\n".join((f"[{group}]", *items)) for group, items in lines.items()))
        file.chmod(0o640)
        found = weak_settings.find(hostler_conf.load([], config_files=[str(file)]))
        return [f"{weak.setting} {weak.problem}" for weak in found]

    return run


def test_a_good_configuration_has_no_weak_settings(find: Find) -> None:
    assert find() == []


@pytest.mark.parametrize(("changes", "expected"), [
    ({"transport_url": "rabbit://guest:Xq9v@mq.example.org/"}, "transport_url uses the user guest"),
    ({"transport_url": "rabbit://mq.example.org/"}, "transport_url uses the user guest"),
    ({"transport_url": "rabbit://conductor:SECRET@mq.example.org/"},
     "transport_url has a well-known password"),
    ({"transport_url": "rabbit://api:Xq9v@mq1,api:api@mq2/"}, "transport_url has a well-known password"),
    ({"oslo_messaging_rabbit__ssl": False}, "transport_url reaches the broker without TLS"),
    ({"oslo_messaging_rabbit__ssl_ca_file": ""}, "[oslo_messaging_rabbit] ssl takes any certificate"),
    ({"bus__verify_senders": False}, "[bus] verify_senders is off"),
    ({"database__connection": "postgresql+psycopg://h:SECRET@127.0.0.1/h"},
     "[database] connection has a well-known password"),
    ({"database__connection": "postgresql+psycopg://h:Xq9v@db.example.org/h"}, "reaches the database without TLS"),
    ({"database__connection": "postgresql+psycopg://h:Xq9v@db.example.org/h?sslmode=require"},
     "or takes any certificate"),
    ({"database__connection": "mysql+pymysql://h:Xq9v@db.example.org/h"}, "reaches the database without TLS"),
    ({"api__tls_certificate": ""}, "[api] bind_host 0.0.0.0 is served without TLS"),
    ({"identity__admin_project_name": ""}, "[identity] admin_project_name is empty"),
    ({"audit__enabled": False}, "[audit] enabled is off"),
    ({"volume__insecure_exports": True}, "[volume] insecure_exports gives volumes to anyone"),
    ({"console__tls_certificate": ""}, "[console] novncproxy_host 0.0.0.0 is where the console proxy serves"),
    ({"libvirt__live_migration_scheme": "tcp"}, "[libvirt] live_migration_scheme sends the memory of guests in clear"),
])
def test_a_weak_setting_is_named(find: Find, changes: dict[str, Any], expected: str) -> None:
    found = find(**changes)
    assert len(found) == 1
    assert expected in found[0]


@pytest.mark.parametrize("changes", [
    {"transport_url": "rabbit://conductor:Xq9v@127.0.0.1/", "oslo_messaging_rabbit__ssl": False},
    {"transport_url": "kombu+memory://", "bus__verify_senders": False},
    {"database__connection": ""}, {"database__connection": "sqlite:////tmp/x.db"},
    {"database__connection": "postgresql+psycopg://h:Xq9v@localhost/h"},
    {"database__connection": "mysql+pymysql://h:Xq9v@db.example.org/h?ssl_ca=/etc/ca.pem"},
    {"api__tls_certificate": "", "api__bind_host": "127.0.0.1"},
    {"api__tls_certificate": "", "api__bind_host": "::1"},
    {"console__tls_certificate": "", "console__novncproxy_host": "127.0.0.1"},
    # an agent: it serves neither API nor consoles
    {"api__tls_certificate": "", "console__tls_certificate": "", "database__connection": ""},
])
def test_what_is_strong_enough_is_not_named(find: Find, changes: dict[str, Any]) -> None:
    assert find(**changes) == []


def test_secrets_that_every_user_may_read_are_named(find: Find, tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    tls = tmp_path / "tls"
    tls.mkdir()
    consoles, host = tmp_path / "consoles", tmp_path / "host"
    consoles.mkdir()
    host.mkdir()
    secret = [tmp_path / "keys" / "1", tmp_path / "clouds.yaml", tmp_path / "openrc", tls / "server-key.pem",
              tls / "api-key.pem", consoles / "client-key.pem", host / "server-key.pem", tls / "proxy-key.pem"]
    for file in (*secret, tls / "server-cert.pem"):
        file.touch(0o644)
    options = {"volume__tls_dir": tls, "api__tls_private_key": tls / "api-key.pem", "console__tls_dir": consoles,
               "compute__tls_dir": host, "console__tls_private_key": tls / "proxy-key.pem"}
    assert sorted(line.split(" ")[0] for line in set(find(**options))) == sorted(map(str, secret))
    for file in secret:
        file.chmod(0o600)
    assert find(**options) == []


def test_a_configuration_with_a_password_that_every_user_may_read_is_named(tmp_path: Path) -> None:
    file = tmp_path / "hostler.conf"
    for content, mode, named in (
            ("[database]\nconnection = mysql+pymysql://h:Xq9v@127.0.0.1/h\n", 0o644, True),
            ("[DEFAULT]\ntransport_url = rabbit://api:Xq9v@127.0.0.1/\n[bus]\nverify_senders = true\n", 0o604, True),
            ("[database]\nconnection = mysql+pymysql://h:Xq9v@127.0.0.1/h\n", 0o640, False),
            ("[database]\nconnection = mysql+pymysql://h@127.0.0.1/h\n", 0o644, False)):
        file.write_text(f"{content}[api]\nbind_host = 127.0.0.1\n[console]\nnovncproxy_host = 127.0.0.1\n")
        file.chmod(mode)
        found = weak_settings.find(hostler_conf.load([], config_files=[str(file)],
                                                     overrides={"state_path": str(tmp_path)}))
        assert [weak.setting for weak in found] == ([str(file)] if named else [])


def test_the_administrators_password_is_tried(tmp_path: Path) -> None:
    conf = hostler_conf.load([], config_files=[], overrides={"state_path": str(tmp_path),
                                                             "identity.password_rounds": 4})
    schema.upgrade(Database.from_conf(conf))
    database = version.open_database(conf)

    def work(session: Any) -> None:
        domain = Domain(name="d")
        session.add(domain)
        session.flush()
        session.add(User(name="admin", domain_id=domain.id, password_hash=passwords.hash_password("admin", 4)))

    assert weak_settings.find_known_passwords(conf, database) == []
    database.write(work)
    (weak,) = weak_settings.find_known_passwords(conf, database)
    assert weak.setting == "user admin"


def test_settings_alone_need_no_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                         capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "agent.conf"
    file.write_text(f"[DEFAULT]\nstate_path = {tmp_path}\ntransport_url = rabbit://compute.h:Xq9v@127.0.0.1/\n"
                    "[bus]\nverify_senders = true\n[volume]\ninsecure_exports = true\n")
    file.chmod(0o600)
    monkeypatch.setattr(running, "set_up_logging", lambda *_: None)
    for words, expected in ((("--settings",), "warning: [volume] insecure_exports gives volumes to anyone"),
                            (("--settings", "--json"), '"setting": "[volume] insecure_exports"')):
        monkeypatch.setattr(sys, "argv", ["hostler-manage", "--config-file", str(file), "doctor", *words])
        with pytest.raises(SystemExit) as ended:
            manage.main()
        assert ended.value.code == 1
        said = capsys.readouterr().out
        assert expected in said
        assert "--json" not in words or len(json.loads(said)) == 1
