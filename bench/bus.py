"""What a call and a cast cost on RabbitMQ: `python bench/bus.py [--rate 3 50 1000] [--against COMMIT]`.

Processor milliseconds of both ends and the broker a message, by how many come in a second; the broker's own rest is in
them. One client waits for each answer, so that a high rate is as fast as answers come.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import measure

measure.use_checkout()

import against  # noqa: E402
from oslo_service import backend  # noqa: E402

from hostler import conf as hostler_conf  # noqa: E402
from hostler.bus import Bus, rpc_method  # noqa: E402
from hostler.context import RequestContext  # noqa: E402
from tests.harness.backends import RabbitMQ  # noqa: E402

_TOPIC, _VERSION = "bench", "1.0"
_REPORT = {"service": "compute", "cpu_info": {"model": "x", "features": ["feature"] * 20}, "traits": ["TRAIT"] * 30}


class Echo:
    """Answers."""

    @rpc_method
    def echo(self, _context: RequestContext, report: dict[str, Any]) -> dict[str, Any]:
        """Return little."""
        return {"accepted": bool(report), "conductor": "one"}


def bus(url: str) -> Bus:
    """Return a connection."""
    return Bus(hostler_conf.load([], config_files=[], overrides={"transport_url": url}))


def serve(url: str) -> None:
    """Answer until killed."""
    bus(url).server(_TOPIC, "one", Echo(), _VERSION).start()
    time.sleep(1e6)


def run(rates: list[int]) -> None:
    """Measure each rate."""
    with tempfile.TemporaryDirectory(prefix="hostler-bench-") as made:
        Path(made).chmod(0o755)
        broker = RabbitMQ(Path(made) / "rabbitmq")
        broker.start()
        server = subprocess.Popen([sys.executable, __file__, "--serve", broker.url])
        try:
            time.sleep(5)
            meter = measure.Meter(lambda: {"client": [os.getpid()], "server": [server.pid], "broker": broker.pids()})
            peer = bus(broker.url).client(_TOPIC, _VERSION).to()
            for _ in range(20):
                peer.call(RequestContext.system(), "echo", {"report": _REPORT})
            for name, send in (("call", peer.call), ("cast", peer.cast)):
                for rate in rates:
                    count = max(30, min(600, 10 * rate))
                    with meter.spending() as spent:
                        begun = time.monotonic()
                        for number in range(count):
                            send(RequestContext.system(), "echo", {"report": _REPORT})
                            time.sleep(max(0.0, begun + (number + 1) / rate - time.monotonic()))
                    measure.rate(f"{name}/{rate}_a_second", count, spent)
        finally:
            server.kill()
            server.wait()
            broker.stop()


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, nargs="+", default=[3, 50, 1000])
    parser.add_argument("--serve", metavar="URL", help=argparse.SUPPRESS)
    parser.add_argument("--against", metavar="COMMIT")
    options = parser.parse_args()
    backend.init_backend(backend.BackendType.THREADING)
    if options.serve:
        serve(options.serve)
    elif options.against:
        against.compare(options.against, [sys.argv[0], "--rate", *map(str, options.rate)])
    else:
        run(options.rate)


if __name__ == "__main__":
    main()
