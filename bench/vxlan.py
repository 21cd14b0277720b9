"""`python -m bench.vxlan`: TCP between guests on two hosts, by a tenant's VXLAN network and by a VXLAN made by hand.

Both are namespaces on one kernel, joined by one wire; as root. By hand: a bridge and a VXLAN device with a permanent
forwarding entry, and no filters. Ours: what an agent makes, with security groups and protection from spoofing. The
sender and the receiver are the same few lines of Python for both.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import socket
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from compute.network import namespaces
from tests.harness.network_lab import host_network, wait_for
from tests.harness.two_hosts import HostOfTwo, overlay, place, two_hosts

_CHUNK = bytes(1 << 18)
Pair = tuple[Path, Path, str]  # the namespaces of sender and receiver, and the receiver's address


def mib_per_s(pair: Pair, seconds: float) -> float:
    """Return what the receiver got a second."""
    sender, receiver, address = pair
    listener = namespaces.run_inside(receiver, lambda: socket.create_server((address, 0)))
    port, got = listener.getsockname()[1], 0

    def receive() -> None:
        nonlocal got
        connection, _ = listener.accept()
        with connection:
            while chunk := connection.recv(1 << 18):
                got += len(chunk)

    ear = threading.Thread(target=receive, daemon=True)
    ear.start()
    with listener, namespaces.run_inside(sender, lambda: socket.create_connection((address, port), timeout=30)) as out:
        begun = time.monotonic()
        while time.monotonic() < begun + seconds:
            out.sendall(_CHUNK)
        out.shutdown(socket.SHUT_WR)
        ear.join(30)
        return got / (time.monotonic() - begun) / (1 << 20)


def ours(hosts: tuple[HostOfTwo, HostOfTwo]) -> Pair:
    """Return guests of a tenant's network."""
    net = overlay(7)
    one, two = (host.boot(number, net) for number, host in enumerate(hosts, 10))
    for host in hosts:
        host.tell(net, place(one, hosts[0]), place(two, hosts[1]))
    for guest in (one, two):
        guest.run("busybox ip link set eth0 mtu 1450")
    assert wait_for(lambda: one.pings(two.address), 30)
    return one.path, two.path, two.address


@contextlib.contextmanager
def by_hand(hosts: tuple[HostOfTwo, HostOfTwo], directory: Path) -> Iterator[Pair]:
    """Yield namespaces joined as one would with `ip` and `bridge` alone."""
    made = []
    with contextlib.ExitStack() as stack:
        for number, host in enumerate(hosts, 1):
            guest = directory / f"hand{number}"
            namespaces.create(guest)
            stack.callback(namespaces.remove, guest)
            far = hosts[2 - number].tunnel_ip
            for command in (
                    "ip link add hand type bridge", "ip link set hand mtu 1450 up",
                    f"ip link add handx type vxlan id 99 dstport 4790 local {host.tunnel_ip} nolearning",
                    "ip link set handx mtu 1450 master hand up",
                    f"bridge fdb append 00:00:00:00:00:00 dev handx dst {far}",
                    "ip link add handv mtu 1450 type veth peer name eth0", "ip link set handv master hand up"):
                host.on(lambda command=command: subprocess.run(command.split(), check=True))  # type: ignore[misc]
            with guest.open("rb") as handle:
                host.on(lambda handle=handle: subprocess.run(  # type: ignore[misc]
                    ["ip", "link", "set", "eth0", "netns", f"/proc/self/fd/{handle.fileno()}"], check=True,
                    pass_fds=[handle.fileno()]))
            for command in (f"ip addr add 10.99.0.{number}/24 dev eth0", "ip link set eth0 mtu 1450 up"):
                subprocess.run(["nsenter", f"--net={guest}", *command.split()], check=True)
            made.append(guest)
        yield made[0], made[1], "10.99.0.2"


def main() -> None:
    """Measure both in turn and print a JSON line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--times", type=int, default=5)
    given = parser.parse_args()
    with host_network(), tempfile.TemporaryDirectory() as text, two_hosts(Path(text)) as hosts, \
            by_hand(hosts, Path(text)) as plain:
        tenants = ours(hosts)
        kinds: dict[str, Callable[[], float]] = {
            "by_hand": lambda: mib_per_s(plain, given.seconds),
            "tenant_network": lambda: mib_per_s(tenants, given.seconds)}
        found: dict[str, list[float]] = {kind: [] for kind in kinds}
        for _ in range(given.times):
            for kind, measure in kinds.items():
                found[kind].append(measure())
    for kind, values in found.items():
        print(json.dumps({"name": f"vxlan/{kind}", "value": round(statistics.median(values), 1), "unit": "MiB/s",
                          "lowest": round(min(values), 1), "highest": round(max(values), 1)}))


if __name__ == "__main__":
    main()
