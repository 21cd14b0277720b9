"""Attackers without any account, from several addresses, on the front of a process of its own that serves with TLS.

A connection takes five times as much with TLS as without it, whatever is sent over it.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from hostler import clock, pki
from tests.harness import raw_http
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


@pytest.fixture
def process(tmp_path: Path) -> Iterator[tuple[int, str]]:
    """A process that no flood has met yet: its id and its URL."""
    now = clock.utcnow()
    pki.init_authority(tmp_path / "ca", now)
    pki.issue(tmp_path / "ca", "api", ["127.0.0.1"], tmp_path, now)
    with subprocess.Popen([
            sys.executable, "-W", "ignore", "-m", "tests.harness.front_process",
            f"tls_certificate={tmp_path / 'server-cert.pem'}", f"tls_private_key={tmp_path / 'server-key.pem'}",
            # On a busy machine the first would be late before the last has come.
            "header_timeout=600", "request_timeout=600", "keep_alive_timeout=600"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None
        yield started.pid, started.stdout.readline().strip().replace("http:", "https:")
        started.kill()


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


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_over_tls_takes_little_memory(process: tuple[int, str], name: str) -> None:
    """Given eight addresses with 800 connections, then memory has grown by less than 64 MiB; members are served."""
    pid, url = process
    with requests.Session() as member, contextlib.ExitStack() as stack:
        member.headers["X-Auth-Token"] = TOKEN
        assert member.get(url, verify=False, timeout=60).text == "member"
        before = _rss(pid, "VmRSS")
        Path(f"/proc/{pid}/clear_refs").write_text("5")  # the peak begins here
        accepted = _open_all(url, FLOODS[name], stack)
        # The one that has shown a token, on its connection from before, and one that comes now.
        assert member.get(url, verify=False, timeout=60).text == "member"
        assert requests.get(url, headers={"X-Auth-Token": TOKEN}, verify=False, timeout=60).text == "member"
        grown = _rss(pid, "VmHWM") - before
    print(f"{name}: {accepted} connections, {grown / MIB:.1f} MiB")
    assert accepted > CONNECTIONS / 2
    assert grown < 64 * MIB
