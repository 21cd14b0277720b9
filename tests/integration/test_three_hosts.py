"""Three hosts on a real kernel with one VXLAN network: each reaches each, and two go on without the third."""

from __future__ import annotations

import contextlib
import itertools
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from compute.network import namespaces
from tests.harness import network_lab
from tests.harness.network_fixtures import host_namespace
from tests.harness.network_lab import wait_for
from tests.harness.two_hosts import HostOfTwo, overlay, place

__all__ = ["host_namespace"]
pytestmark = network_lab.NEEDS
_SWITCH = "switch0"


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[list[HostOfTwo]]:
    """Yield hosts with a namespace each, whose wires end in a switch: a bridge in another namespace."""
    switch = tmp_path / "switch"
    with contextlib.ExitStack() as stack:
        namespaces.create(switch)
        stack.callback(namespaces.remove, switch)
        _ip(switch, f"link add {_SWITCH} type bridge", f"link set {_SWITCH} up")
        made = []
        for number in (1, 2, 3):
            home = tmp_path / f"host{number}"
            namespaces.create(home)
            stack.callback(namespaces.remove, home)
            with home.open("rb") as handle:
                _ip(switch, f"link add to{number} type veth peer name wire0 netns /proc/self/fd/{handle.fileno()}",
                    f"link set to{number} master {_SWITCH} up", keep=handle.fileno())
            _ip(home, f"addr add 192.0.2.{number}/24 dev wire0", "link set wire0 up", "link set lo up",
                "link add ext0 type veth peer name ext1", "link set ext0 up")
            made.append(HostOfTwo(tmp_path / f"state{number}", home, f"192.0.2.{number}"))
            stack.callback(made[-1].tear_down)
        yield made


def _ip(where: Path, *commands: str, keep: int | None = None) -> None:
    for command in commands:
        subprocess.run(["nsenter", f"--net={where}", "ip", *command.split()], check=True,
                       pass_fds=() if keep is None else (keep,))


def test_two_go_on_when_the_third_is_gone(hosts: list[HostOfTwo], capsys: pytest.CaptureFixture[str]) -> None:
    net = overlay(7)
    guests = [host.boot(number, net) for number, host in enumerate(hosts, 10)]
    places = [place(guest, host) for guest, host in zip(guests, hosts, strict=True)]
    for host in hosts:
        host.tell(net, *places)
    for one, other in itertools.permutations(guests, 2):
        assert wait_for(lambda one=one, other=other: one.pings(other.address), 30)

    first, second, third = guests
    pinging = subprocess.Popen(
        ["nsenter", f"--net={first.path}", "busybox", "ping", "-c", "50", "-i", "0.1", "-W", "5", second.address],
        stdout=subprocess.PIPE, text=True)
    _ip(hosts[2].namespace or Path(), "link set wire0 down")  # as when its power goes: nobody is told
    said, _ = pinging.communicate(timeout=60)
    assert not first.pings(third.address)
    for host in hosts[:2]:
        host.tell(net, *places[:2])

    assert "50 packets transmitted, 50 packets received" in said, said
    assert first.pings(second.address) and second.pings(first.address)
    assert not [line for host in hosts[:2] for line in host.fdb(net) if "192.0.2.3" in line]
    with capsys.disabled():
        print(f"\n{said.splitlines()[-2]}")
