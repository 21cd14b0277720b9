"""Attackers without any account, from several addresses, on a front that serves with TLS: alone, and the whole cloud's.

A connection takes five times as much with TLS as without it, whatever is sent over it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import requests

from hostler import clock, pki
from tests.harness import raw_http
from tests.harness.allinone import AllInOne
from tests.harness.front_process import TOKEN

pytestmark = pytest.mark.long

ADDRESSES = [f"127.0.0.{number}" for number in range(2, 10)]
CONNECTIONS = 800
AT_ONCE = 40
MIB = 1048576
# One for all: each that reads the machine's authorities takes longer than a connection.
CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
CONTEXT.check_hostname, CONTEXT.verify_mode = False, ssl.CERT_NONE
FLOODS = {
    "a hello and no more": None,
    "half a head": raw_http.HALF_HEAD,
    "half a body": b"POST /identity/v3/auth/tokens HTTP/1.1\r\nHost: c\r\n"
                   b"Content-Length: 1000000\r\n\r\n" + b" " * 60_000,
    "image data": b"PUT /image/v2/images/x/file HTTP/1.1\r\nHost: c\r\nContent-Type: application/octet-stream\r\n"
                  b"Content-Length: 1000000\r\n\r\n" + b" " * 60_000,
}


# On a busy machine the first would be late before the last has come.
PATIENT = {"header_timeout": "600", "request_timeout": "600", "keep_alive_timeout": "600"}


@dataclasses.dataclass(frozen=True)
class Victim:
    """A process that no flood has met yet, and what a member asks it for."""

    pid: int
    url: str
    token: str

    def get(self, session: requests.Session | None = None) -> int:
        """Ask as a member, on a connection of its own when there is no session; returns the status."""
        return (session or requests).get(self.url, headers={"X-Auth-Token": self.token}, verify=False,
                                         timeout=60).status_code


@pytest.fixture
def tls(tmp_path: Path) -> dict[str, str]:
    """The options that make a front serve with TLS."""
    now = clock.utcnow()
    pki.init_authority(tmp_path / "ca", now)
    pki.issue(tmp_path / "ca", "api", ["127.0.0.1"], tmp_path, now)
    return {"tls_certificate": str(tmp_path / "server-cert.pem"), "tls_private_key": str(tmp_path / "server-key.pem"),
            **PATIENT}


@contextlib.contextmanager
def _front_alone(_directory: Path, tls: dict[str, str]) -> Iterator[Victim]:
    with subprocess.Popen([sys.executable, "-W", "ignore", "-m", "tests.harness.front_process",
                           *(f"{name}={value}" for name, value in tls.items())],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None
        yield Victim(started.pid, started.stdout.readline().strip().replace("http:", "https:"), TOKEN)
        started.kill()


@contextlib.contextmanager
def _whole_cloud(directory: Path, tls: dict[str, str]) -> Iterator[Victim]:
    cloud = AllInOne(directory / "cloud", {"api": tls}, authority=directory / "ca" / "ca-cert.pem")
    cloud.prepare()
    client = cloud.start()
    try:
        yield Victim(cloud.pids()[0], f"{cloud.url}/compute/v2.1/flavors", client.token_id)
    finally:
        cloud.stop()


def _open(url: str, source: str, start: bytes | None) -> socket.socket:
    plain = raw_http.connect(url, source)
    plain.settimeout(120)
    if start is None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        with contextlib.suppress(ssl.SSLWantReadError):
            CONTEXT.wrap_bio(incoming, outgoing).do_handshake()
        plain.sendall(outgoing.read())
        return plain
    connection = CONTEXT.wrap_socket(plain)
    connection.setblocking(False)
    with contextlib.suppress(ssl.SSLWantWriteError):
        sent = 0
        while sent < len(start):
            sent += connection.send(start[sent:sent + 16384])
    return connection


def _open_all(url: str, start: bytes | None, stack: contextlib.ExitStack) -> int:
    """Open them all; returns how many were accepted."""
    def one(number: int) -> int:
        with contextlib.suppress(OSError):
            stack.enter_context(_open(url, ADDRESSES[number % len(ADDRESSES)], start))
            return 1
        return 0

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return sum(pool.map(one, range(CONNECTIONS)))


def _rss(pid: int, field: str) -> int:
    return int(Path(f"/proc/{pid}/status").read_text().split(f"{field}:")[1].split()[0]) * 1024


@pytest.mark.parametrize("victim", [_front_alone, _whole_cloud])
@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_over_tls_takes_little_memory(tmp_path: Path, tls: dict[str, str], name: str,
                                              victim: Callable[..., AbstractContextManager[Victim]]) -> None:
    """Given eight addresses with 800 connections, then memory has grown by less than 64 MiB; members are served."""
    with victim(tmp_path, tls) as process, requests.Session() as member, contextlib.ExitStack() as stack:
        assert {process.get(member) for _ in range(20)} == {200}
        before = _rss(process.pid, "VmRSS")
        Path(f"/proc/{process.pid}/clear_refs").write_text("5")  # the peak begins here
        accepted = _open_all(process.url, FLOODS[name], stack)
        # The one that has shown a token, on its connection from before, and one that comes now.
        assert process.get(member) == 200
        assert process.get() == 200
        grown = _rss(process.pid, "VmHWM") - before
    print(f"{name}: {accepted} connections, {grown / MIB:.1f} MiB")
    assert accepted > CONNECTIONS / 2
    assert grown < 64 * MIB
