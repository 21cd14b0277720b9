"""A machine on the external network's segment, beside a test's hosts."""

from __future__ import annotations

import contextlib
import re
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from pyroute2 import IPRoute

from compute.network import namespaces
from tests.harness.network_lab import wait_for


class Outside:
    """Its namespace is `path`; it is a port of `bridge`."""

    def __init__(self, path: Path, bridge: str) -> None:
        self.path = path
        namespaces.create(path)
        with path.open("rb") as handle, IPRoute() as ipr:
            ipr.link("add", ifname="out1", kind="veth", peer={"ifname": "eth0", "net_ns_fd": handle.fileno()})
            ipr.link("set", index=ipr.link_lookup(ifname="out1")[0], master=ipr.link_lookup(ifname=bridge)[0],
                     state="up")
        self.run("busybox ip link set lo up; busybox ip link set eth0 up; busybox ip addr add 203.0.113.1/24 dev eth0")

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["nsenter", f"--net={self.path}", "sh", "-c", command], capture_output=True, text=True,
                              timeout=30, check=False)

    def pings(self, address: str) -> bool:
        return wait_for(lambda: self.run(f"busybox ping -c 1 -W 1 {address}").returncode == 0, 30)

    def answer(self, address: str, port: int) -> str:
        """Return what a TCP server says first; empty when there is no connection within a second."""
        def ask() -> str:
            try:
                with socket.create_connection((address, port), timeout=1) as connection:
                    connection.settimeout(5)
                    return connection.recv(100).decode().strip()
            except OSError:
                return ""
        return namespaces.run_inside(self.path, ask)

    @contextlib.contextmanager
    def pinging(self, address: str) -> Iterator[Callable[[], int]]:
        """Ping five times a second until the block ends; what it yields then says how many answers were missed."""
        process = subprocess.Popen(["nsenter", f"--net={self.path}", "busybox", "ping", "-i", "0.2", address],
                                   stdout=subprocess.PIPE, text=True)
        said: list[str] = []
        try:
            yield lambda: _lost(said[0])
        finally:
            process.send_signal(signal.SIGINT)
            # Here: the next to go may be its network, and a ping that cannot send ends without its summary.
            said.append(process.communicate(timeout=30)[0])

    def close(self) -> None:
        with IPRoute() as ipr:
            for index in ipr.link_lookup(ifname="out1"):
                ipr.link("del", index=index)
        namespaces.remove(self.path)


def _lost(output: str) -> int:
    numbers = [int(text) for text in re.findall(r"(\d+) packets", output)]
    assert len(numbers) == 2, output
    # The last one may have been on its way.
    return max(0, numbers[0] - numbers[1] - 1)
