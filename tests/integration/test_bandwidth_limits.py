"""Bandwidth limits of ports on a real kernel: what passes in either direction, and how changes take effect."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from compute.network import namespaces
from hostler.resources.server.specs import LimitSpec, RuleSpec
from tests.harness import network_lab
from tests.harness.network_lab import ALLOW_OUT, Cloud, Guest, make_network

pytestmark = network_lab.NEEDS

ALLOW_IN = RuleSpec(direction="ingress", ethertype="IPv4")
FRAME, FRAMES = 1400, 3000
# A second's worth, and the burst that every limit has.
KBPS, BYTES_PER_S, BURST = 800, 100_000, 65_536


@pytest.fixture(scope="module", autouse=True)
def host_namespace() -> Iterator[None]:
    with network_lab.host_network():
        yield


@pytest.fixture
def guests(tmp_path: Path) -> Iterator[tuple[Cloud, Guest, Guest]]:
    """Yield two guests with addresses on one network, each known to the other."""
    with contextlib.ExitStack() as stack:
        cloud = Cloud(tmp_path)
        stack.callback(cloud.tear_down)
        net = make_network()
        first, second = (cloud.boot(number, net, ALLOW_OUT, ALLOW_IN) for number in (10, 11))
        for guest in (first, second):
            guest.run(f"busybox ip link set eth0 mtu {net.mtu}; busybox ip addr add {guest.address}/24 dev eth0")
        assert network_lab.wait_for(lambda: first.pings(second.address), 30)
        yield cloud, first, second


def limited(guest: Guest, direction: str | None, kbps: int = KBPS) -> None:
    limits = () if direction is None else (LimitSpec(direction=direction, max_kbps=kbps),)
    guest.port = dataclasses.replace(guest.port, limits=limits)


def received(guest: Guest) -> int:
    [line] = [line for line in guest.run("cat /proc/net/dev").stdout.splitlines() if "eth0:" in line]
    return int(line.partition(":")[2].split()[0])


def flood(sender: Guest, receiver: Guest) -> tuple[int, float]:
    """Send as fast as the machine can; return the bytes that arrived, and the seconds it took."""
    def send() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            for _ in range(FRAMES):
                out.sendto(bytes(FRAME), (receiver.address, 9))
    before, begun = received(receiver), time.monotonic()
    namespaces.run_inside(sender.path, send)
    return received(receiver) - before, time.monotonic() - begun


@pytest.mark.parametrize(("mine", "direction"), [(True, "egress"), (False, "ingress")])
def test_a_limit_holds_in_its_direction(guests: tuple[Cloud, Guest, Guest], mine: bool, direction: str) -> None:
    """Given a limit of the sender or of the receiver, then no more passes than it says; without it, all does."""
    cloud, sender, receiver = guests
    limited(sender if mine else receiver, direction)
    cloud.plumbing.apply_rules([sender.port, receiver.port])

    arrived, took_s = flood(sender, receiver)

    assert BYTES_PER_S <= arrived <= 1.2 * (BYTES_PER_S * (1 + took_s) + BURST)
    limited(sender if mine else receiver, None)
    cloud.plumbing.apply_rules([sender.port, receiver.port])
    arrived, _ = flood(sender, receiver)
    assert arrived > FRAME * FRAMES / 2


def test_the_other_direction_is_free(guests: tuple[Cloud, Guest, Guest]) -> None:
    cloud, sender, receiver = guests
    limited(sender, "ingress")
    limited(receiver, "egress")
    cloud.plumbing.apply_rules([sender.port, receiver.port])

    arrived, _ = flood(sender, receiver)

    assert arrived > FRAME * FRAMES / 2


def test_a_connection_goes_on_within_its_limit(guests: tuple[Cloud, Guest, Guest]) -> None:
    """Given a limit of a megabyte a second, when two and a half are sent by TCP, then they arrive, and not sooner."""
    cloud, sender, receiver = guests
    limited(sender, "egress", kbps=8000)
    cloud.plumbing.apply_rules([sender.port])
    listener = namespaces.run_inside(receiver.path, lambda: socket.create_server((receiver.address, 7)))
    arrived = 0

    def receive() -> None:
        nonlocal arrived
        connection, _ = listener.accept()
        with connection:
            while chunk := connection.recv(1 << 16):
                arrived += len(chunk)

    ear = threading.Thread(target=receive, daemon=True)
    ear.start()
    begun = time.monotonic()
    out = namespaces.run_inside(sender.path, lambda: socket.create_connection((receiver.address, 7), timeout=60))
    with out, listener:
        out.sendall(bytes(2_500_000))
        out.shutdown(socket.SHUT_WR)
        ear.join(60)
    assert arrived == 2_500_000
    # All but the bucket's first second and the burst.
    assert time.monotonic() - begun > 0.8 * (2_500_000 - 1_000_000 - BURST) / 1_000_000
