"""The console relay: what it joins, and what it refuses."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from compute.consoles import Consoles, Passes
from compute.relay import ConsoleRelay
from hostler import clock, errors, ids, pki
from hostler import conf as hostler_conf

SERVER = ids.new_id()


class Driver:
    """Has one server with a screen that repeats what it is sent."""

    def list_consoles(self, server_id: str) -> frozenset[str]:
        return frozenset({"vnc"} if server_id == SERVER else ())

    def open_console(self, server_id: str, protocol: str) -> socket.socket:
        if server_id != SERVER:
            raise errors.NotFound(resource="server", id=server_id)
        ours, theirs = socket.socketpair()
        threading.Thread(target=self._echo, args=(ours,), daemon=True).start()
        return theirs

    @staticmethod
    def _echo(end: socket.socket) -> None:
        with end, contextlib.suppress(OSError):
            while data := end.recv(65536):
                end.sendall(data)


def make(directory: Path, **options: Any) -> tuple[ConsoleRelay, Passes]:
    conf = hostler_conf.load([], config_files=[], overrides={f"console.{name}": value
                                                             for name, value in options.items()})
    passes = Passes(directory / "key")
    return ConsoleRelay(Driver(), passes, conf.console), passes  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("pki")
    for authority, names in (("ca", ("host1", "proxy", "host2")), ("other", ("intruder",))):
        pki.init_authority(directory / authority, clock.utcnow())
        for name in names:
            pki.issue(directory / authority, name, [], directory / name, clock.utcnow())
    return directory


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[tuple[ConsoleRelay, Passes]]:
    made = make(tmp_path)
    made[0].start()
    yield made
    made[0].stop()


def ask(connection: socket.socket, path: str, token: str) -> bytes:
    connection.settimeout(10)
    connection.sendall(f"CONNECT {path} HTTP/1.1\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        data = connection.recv(1)
        if not data:
            break
        answer += data
    return answer


def test_a_console_is_granted_and_joined_whatever_its_size(relay: tuple[ConsoleRelay, Passes]) -> None:
    granted = Consoles(Driver(), relay[1], relay[0].where).grant(SERVER, "vnc", 60)  # type: ignore[arg-type]
    with socket.create_connection((granted["host"], granted["port"])) as connection:
        assert ask(connection, granted["path"], granted["token"]).startswith(b"HTTP/1.1 200 ")
        sent = bytes(range(256)) * 20000
        writer = threading.Thread(target=connection.sendall, args=(sent,))
        writer.start()
        assert connection.makefile("rb").read(len(sent)) == sent
        writer.join()


def test_what_was_not_granted_is_refused(relay: tuple[ConsoleRelay, Passes], tmp_path: Path) -> None:
    token, path = relay[1].make(SERVER, "vnc", 60)
    other_token, other_path = relay[1].make(SERVER, "serial", 60)
    _, _, _, end, signature = path.split("/")
    late_token, late = relay[1].make(SERVER, "vnc", -1000)
    forged_token, forged = Passes(tmp_path / "another-key").make(SERVER, "vnc", 60)
    for wrong, shown in ((path, other_token), (other_path, token), (f"/{SERVER}/serial/{end}/{signature}", token),
                         (f"/{ids.new_id()}/vnc/{end}/{signature}", token),
                         (f"/{SERVER}/vnc/9{end}/{signature}", token),
                         (path[:-1], token), ("/////", "x"), (late, late_token), (forged, forged_token)):
        with socket.create_connection(relay[0].where()) as connection:
            assert ask(connection, wrong, shown).startswith(b"HTTP/1.1 403 "), wrong
    gone_token, gone = relay[1].make(ids.new_id(), "vnc", 60)
    with socket.create_connection(relay[0].where()) as connection:
        assert ask(connection, gone, gone_token).startswith(b"HTTP/1.1 404 ")


@pytest.mark.parametrize("head", [b"GET / HTTP/1.1\r\n\r\n", b"\r\n\r\n", b"CONNECT /x HTTP/1.1\r\n\r\n", b"x" * 5000])
def test_what_is_no_request_is_refused(relay: tuple[ConsoleRelay, Passes], head: bytes) -> None:
    with socket.create_connection(relay[0].where()) as connection:
        connection.sendall(head)
        connection.settimeout(10)
        assert connection.recv(12).startswith(b"HTTP/1.1 400")


def test_grants_outlive_the_agent(tmp_path: Path) -> None:
    token, path = Passes(tmp_path / "key").make(SERVER, "vnc", 60)
    assert Passes(tmp_path / "key").check(path, token) == (SERVER, "vnc")
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600


def test_off_and_missing_consoles_are_said(relay: tuple[ConsoleRelay, Passes]) -> None:
    consoles = Consoles(Driver(), relay[1], relay[0].where)  # type: ignore[arg-type]
    with pytest.raises(errors.Conflict, match="not running"):
        consoles.grant(ids.new_id(), "vnc", 60)
    with pytest.raises(errors.ConsoleUnavailable, match="Unavailable console type spice"):
        consoles.grant(SERVER, "spice", 60)


def test_only_proxies_with_a_certificate_get_in(tmp_path: Path, certificates: Path) -> None:
    relay, passes = make(tmp_path, tls_dir=str(certificates / "host1"), proxy_names=["proxy"])
    relay.start()
    token, path = passes.make(SERVER, "vnc", 60)

    def answer(name: str | None) -> bytes:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(certificates / "ca" / "ca-cert.pem")
        if name is not None:
            context.load_cert_chain(certificates / name / "client-cert.pem", certificates / name / "client-key.pem")
        with (contextlib.suppress(ConnectionError, ssl.SSLError), socket.create_connection(relay.where()) as plain,
              context.wrap_socket(plain, server_hostname="host1") as connection):
            return ask(connection, path, token)[:13]
        return b""

    try:
        assert answer("proxy") == b"HTTP/1.1 200 "
        assert answer("host2") == b"HTTP/1.1 403 ", "a machine of ours, but no proxy"
        assert answer("intruder") == answer(None) == b""
        with socket.create_connection(relay.where()) as plain, contextlib.suppress(ConnectionError):
            assert not ask(plain, path, token).startswith(b"HTTP")
    finally:
        relay.stop()


def test_other_addresses_than_loopback_need_certificates(tmp_path: Path) -> None:
    relay, _ = make(tmp_path, relay_host="0.0.0.0")
    with pytest.raises(errors.AgentError, match=r"set \[console\] tls_dir"):
        relay.start()
    relay, _ = make(tmp_path, relay_host="0.0.0.0", tls_dir=str(tmp_path))
    with pytest.raises(errors.AgentError, match="cannot be used"):
        relay.start()


def test_a_stopped_relay_ends_its_consoles(tmp_path: Path) -> None:
    relay, passes = make(tmp_path)
    relay.start()
    token, path = passes.make(SERVER, "vnc", 60)
    with socket.create_connection(relay.where()) as connection:
        assert ask(connection, path, token).startswith(b"HTTP/1.1 200 ")
        relay.stop()
        assert connection.recv(1) == b""
    with pytest.raises(errors.Unavailable):
        relay.where()
