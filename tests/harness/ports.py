"""Free TCP ports and waiting for something to answer."""

from __future__ import annotations

import os
import random
import socket
import time
from collections.abc import Callable

# Below the ports that the kernel gives to clients: between the choice and the listening, one of those might be taken.
_FIRST, _LAST = 21000, 32000
_choices = random.Random(os.getpid() ^ time.monotonic_ns())


def free_port() -> int:
    """Return a port that nobody listens at just now, at any address."""
    while True:
        port = _choices.randrange(_FIRST, _LAST)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("0.0.0.0", port))
            except OSError:
                continue
            return port


def is_open(port: int, address: str = "127.0.0.1") -> bool:
    """Return whether something listens at a port of this machine."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((address, port)) == 0


def wait_for(condition: Callable[[], object], what: str, timeout_s: float = 60, every_s: float = 0.05) -> object:
    """Return the first true value of `condition`; raises TimeoutError naming `what`."""
    end = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {timeout_s} s")
        time.sleep(every_s)
