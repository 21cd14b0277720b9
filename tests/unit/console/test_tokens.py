"""The token plugin against a relay of its own: whom it connects to, and what it says in the audit trail."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from console.tokens import TokenPlugin
from hostler import clock, errors, ids, pki
from hostler import conf as hostler_conf
from hostler.audit.trail import Trail
from hostler.resources.server.consoles import Target


class Listener:
    """Answers one connection with `answer` once its request has come."""

    def __init__(self, answer: bytes, tls: Path | None = None) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._answer, self._tls = answer, tls
        self.asked = b""
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with contextlib.suppress(OSError):
            if self._tls is not None:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(self._tls / "server-cert.pem", self._tls / "server-key.pem")
                connection = context.wrap_socket(connection, server_side=True)
            self.asked = connection.recv(4096)
            connection.sendall(self._answer)
        connection.close()


class Database:
    """Holds one token, which it gives away once."""

    def __init__(self, port: int, host: str) -> None:
        self._target: Any = (Target(ids.new_id(), "p", "u", "vnc", "127.0.0.1", port, "/path", "h"), host)

    def write(self, _work: Callable[..., Any]) -> Any:
        taken, self._target = self._target, None
        return taken


def plugin(listener: Listener, host: str = "host1", **options: Any) -> TokenPlugin:
    conf = hostler_conf.load([], config_files=[], overrides=options)
    return TokenPlugin(conf, Database(listener.port, host), Trail())  # type: ignore[arg-type]


def test_what_follows_the_answer_is_the_console(tmp_path: Path) -> None:
    listener = Listener(b"HTTP/1.1 200 OK\r\n\r\nRFB 003.008\n")
    made = plugin(listener)
    with made.open("t0ken", "192.0.2.1") as connection:
        assert connection.recv(100) == b"RFB 003.008\n"
    assert listener.asked == b"CONNECT /path HTTP/1.1\r\nAuthorization: Bearer t0ken\r\n\r\n"
    with pytest.raises(errors.Forbidden):
        made.open("t0ken", "192.0.2.1")


@pytest.mark.parametrize("answer", [b"HTTP/1.1 403 Forbidden\r\n\r\n", b"", b"x" * 5000, b"SSH-2.0\r\n\r\n"])
def test_a_relay_that_refuses_is_no_console(answer: bytes) -> None:
    with pytest.raises(errors.Unavailable):
        plugin(Listener(answer)).open("t0ken", "192.0.2.1")


def test_it_speaks_to_the_host_that_is_meant_alone(tmp_path: Path) -> None:
    for authority, names in (("ca", ("host1", "proxy")), ("other", ("imitator",))):
        pki.init_authority(tmp_path / authority, clock.utcnow())
        for name in names:
            pki.issue(tmp_path / authority, name, ["host1"] if name == "imitator" else [], tmp_path / name,
                      clock.utcnow())
    options = {"console.tls_dir": str(tmp_path / "proxy")}
    answer = b"HTTP/1.1 200 OK\r\n\r\n"
    plugin(Listener(answer, tmp_path / "host1"), **options).open("t0ken", "192.0.2.1").close()
    for listener, host in ((Listener(answer, tmp_path / "host1"), "host2"), (Listener(answer), "host1"),
                           (Listener(answer, tmp_path / "imitator"), "host1")):
        with pytest.raises(errors.Unavailable):
            plugin(listener, host, **options).open("t0ken", "192.0.2.1")
        assert b"t0ken" not in listener.asked
