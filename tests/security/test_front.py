"""Attackers without any account, on the front of a real process: slow clients, and floods that want its memory.

The slow clients stay for a few seconds; HOSTLER_SLOW_CLIENTS_SECONDS=60 is the full length.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from tests.harness import raw_http
from tests.harness.allinone import AllInOne
from tests.harness.client import Client
from tests.harness.ports import wait_for

pytestmark = pytest.mark.long

SECONDS = float(os.environ.get("HOSTLER_SLOW_CLIENTS_SECONDS", "8"))
SLOW_CLIENTS = 200
# What a quiet machine's noise may be, so that three times next to nothing is no failure.
FLOOR_S = 0.03
# Other tests may keep the processors busy in a round; what slow clients do would show in each.
ROUNDS = 3
MIB = 1048576
STARTS = (raw_http.HALF_HEAD, raw_http.HALF_BODY, b"", b"G",
          b"PUT /image/v2/images/x/file HTTP/1.1\r\nHost: c\r\nContent-Type: application/octet-stream\r\n"
          b"Content-Length: 1000000\r\n\r\n")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[AllInOne, Client]]:
    """The all-in-one as a process."""
    cloud = AllInOne(tmp_path_factory.mktemp("cloud"))
    cloud.prepare()
    client = cloud.start()
    try:
        yield cloud, client
    finally:
        cloud.stop()


def _p95_s(client: Client, seconds: float) -> float:
    """Return the 95th percentile of a normal client's answers over some time."""
    took = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        started = time.monotonic()
        assert client.get("/compute/v2.1/flavors", timeout=30).status_code == 200
        took.append(time.monotonic() - started)
        time.sleep(0.02)
    return sorted(took)[int(len(took) * 0.95)]


class _SlowClients:
    """Connections that send a byte now and then, and come back when they are closed."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.begun = threading.Event()

    def __enter__(self) -> _SlowClients:
        self._thread.start()
        assert self.begun.wait(60)
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._thread.join(30)

    def _run(self) -> None:
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(raw_http.connect(self._url)) for _ in range(SLOW_CLIENTS)]
            for number, client in enumerate(clients):
                client.sendall(STARTS[number % len(STARTS)])
            self.begun.set()
            while not self._over.wait(0.5):
                for number, client in enumerate(clients):
                    try:
                        client.sendall(b"x")
                    except OSError:
                        client.close()
                        clients[number] = again = stack.enter_context(raw_http.connect(self._url))
                        again.sendall(STARTS[number % len(STARTS)])


def test_a_normal_client_hardly_notices_200_slow_ones(running: tuple[AllInOne, Client]) -> None:
    """Given a normal client, when 200 slow ones come, then its p95 stays under three times its quiet value."""
    cloud, client = running
    _p95_s(client, 1)
    before = _rss(cloud)
    for _ in range(ROUNDS):
        quiet = _p95_s(client, max(SECONDS / 2, 2))
        with _SlowClients(cloud.url):
            attacked = _p95_s(client, SECONDS)
            grown = _rss(cloud) - before
        print(f"p95 quiet {quiet * 1000:.1f} ms, with slow clients {attacked * 1000:.1f} ms; "
              f"memory {grown / MIB:.1f} MiB")
        assert grown < 64 * MIB
        if attacked < max(3 * quiet, FLOOR_S):
            return
    raise AssertionError("the slow clients were felt in every round")


def _rss(cloud: AllInOne, field: str = "VmRSS") -> int:
    text = Path(f"/proc/{cloud.pids()[0]}/status").read_text()
    return int(text.split(f"{field}:")[1].split()[0]) * 1024


def _each(url: str, count: int, act: Callable[[str], None]) -> None:
    with ThreadPoolExecutor(count) as pool:
        for done in [pool.submit(act, url) for _ in range(count)]:
            done.result()


def _pours(start: bytes, block: bytes) -> Callable[[str], None]:
    def act(url: str) -> None:
        with contextlib.suppress(OSError), raw_http.connect(url) as client:
            client.sendall(start)
            raw_http.pour(client, block, 16 * MIB, timeout_s=10)

    return lambda url: _each(url, 20, act)


def _stays(start: bytes) -> Callable[[str], None]:
    def act(url: str) -> None:
        with contextlib.suppress(OSError), raw_http.connections(url, 200, start):
            time.sleep(1)

    return act


def _from_many_addresses(start: bytes) -> Callable[[str], None]:
    """Eight addresses, a hundred connections each, which send as much as is taken at once."""
    def act(url: str) -> None:
        with contextlib.ExitStack() as stack:
            for number in range(800):
                with contextlib.suppress(OSError):
                    client = stack.enter_context(raw_http.connect(url, f"127.0.2.{number % 8 + 1}"))
                    client.setblocking(False)
                    client.send(start)
            time.sleep(1)

    return act


def _many_connections(url: str) -> None:
    for _ in range(10):
        with contextlib.suppress(OSError), raw_http.connections(url, 200):
            pass


_PUT = b"PUT /image/v2/images/x/file HTTP/1.1\r\nHost: c\r\nContent-Type: application/octet-stream\r\n"
_POST = b"POST /identity/v3/auth/tokens HTTP/1.1\r\nHost: c\r\n"
FLOODS: dict[str, Callable[[str], None]] = {
    "one header without end": _pours(b"GET / HTTP/1.1\r\nX: ", b"x" * 65536),
    "headers that stay": _stays(b"GET / HTTP/1.1\r\n" + b"X: " + b"x" * 30000),
    "one chunk": _pours(_POST + b"Transfer-Encoding: chunked\r\n\r\n12c00000\r\n", b" " * 65536),
    "a trailer": _pours(_POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: ", b" " * 65536),
    "large bodies that stay": _stays(_POST + b"Content-Length: 1000000\r\n\r\n" + b" " * 900_000),
    "half bodies of many addresses": _from_many_addresses(_POST + b"Content-Length: 1000000\r\n\r\n" + b" " * 120_000),
    "image data of many addresses": _from_many_addresses(_PUT + b"Content-Length: 1000000\r\n\r\n" + b" " * 120_000),
    "requests sent ahead": _stays(b"GET /identity/v3 HTTP/1.1\r\nHost: c\r\n\r\n" * 1000),
    "connections": _many_connections,
}


@pytest.mark.parametrize("name", FLOODS)
def test_no_flood_takes_much_memory(running: tuple[AllInOne, Client], name: str) -> None:
    """Given each flood, when it is over, then memory never grew by 64 MiB, and others are served."""
    cloud, _client = running
    before = _rss(cloud)
    Path(f"/proc/{cloud.pids()[0]}/clear_refs").write_text("5")  # the peak begins here
    FLOODS[name](cloud.url)
    grown = _rss(cloud, "VmHWM") - before
    print(f"{name}: {grown / MIB:.1f} MiB")
    assert grown < 64 * MIB
    wait_for(lambda: _is_served(cloud.url), "others being served", timeout_s=30)


def _is_served(url: str) -> bool:
    """Return whether a request is answered: until the server has seen the flood's connections close, they count."""
    try:
        return requests.get(f"{url}/identity/v3", timeout=10).status_code == 200
    except requests.ConnectionError:
        return False
