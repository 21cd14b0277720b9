"""What the HTTP server alone costs: `python bench/front_alone.py [--count N] [--against COMMIT] [--turns N]`.

Before it is an application that answers at once. `--against '11a0424^'` compares with cheroot, which must be installed.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import against
import measure

measure.use_checkout()

from hostler import conf as hostler_conf  # noqa: E402

try:
    from api.http_server import build  # type: ignore[import-not-found]  # before decision 0016
except ImportError:
    from api.front.server import HttpServer as build

_BODY = b'{"version": {"id": "v3.14", "status": "stable"}}' * 12
_HEADERS = {"Accept": "application/json", "User-Agent": "bench", "X-Auth-Token": "t" * 200}
_local = threading.local()


def answer(_environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer as the api would a version document, at once."""
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(_BODY))),
                              ("x-openstack-request-id", "req-" + "0" * 36)])
    return [_BODY]


def serve() -> None:
    """Serve with the server of the tree that is measured, until standard input ends."""
    conf = hostler_conf.load([], config_files=[], overrides={"api.bind_host": "127.0.0.1", "api.bind_port": 0})
    server: Any = build(conf, answer)
    server.prepare()
    print(server.port if hasattr(server, "port") else server.bind_addr[1], flush=True)
    threading.Thread(target=server.serve, daemon=True).start()
    sys.stdin.read()
    server.stop()


@contextlib.contextmanager
def serving() -> Iterator[tuple[int, int]]:
    """A process that serves; yields its id and its port."""
    with subprocess.Popen([sys.executable, "-W", "ignore", __file__, "--serve"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.pid, int(process.stdout.readline())
        process.kill()


def ask(port: int) -> None:
    """Ask once, on this thread's connection."""
    if getattr(_local, "port", None) != port:
        _local.connection, _local.port = http.client.HTTPConnection("127.0.0.1", port), port
    _local.connection.request("GET", "/identity/v3", headers=_HEADERS)
    response = _local.connection.getresponse()
    assert (response.status, response.read()) == (200, _BODY)


def run(count: int) -> None:
    """Measure one client, and sixteen at once."""
    with serving() as (pid, port):
        meter = measure.Meter(lambda: {"front": [pid]})
        meter.rest(2.0)
        for clients in (1, 16):
            measure.in_parallel(lambda _: ask(port), 20 * clients, clients)
            with meter.spending() as spent:
                latencies = measure.in_parallel(lambda _: ask(port), count, clients)
            measure.rate(f"front_alone/{clients}_clients", count, spent, latencies)


def main() -> None:
    """Measure this code, or it and another commit in turns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=3000)
    parser.add_argument("--against", metavar="COMMIT")
    parser.add_argument("--turns", type=int, default=4)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve()
    elif options.against:
        against.compare(options.against, [sys.argv[0], "--count", str(options.count)], options.turns)
    else:
        run(options.count)


if __name__ == "__main__":
    main()
