"""One elected host leads outside for guests on three, by both families: what they miss when that changes, or when hosts
or agents die.

The tests run in their order. `g1` to `g3` are on the hosts of their numbers; `g2` has no floating IP. The fabric
carries the tunnels and the reports (eth0), and the external network (eth1).
"""

from __future__ import annotations

import contextlib
import itertools
import operator
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator

import pytest

from compute.network import names
from tests.harness import real_guests
from tests.harness.ports import wait_for
from tests.harness.real_networks import NET, Guest, RealNetworks, Tenant
from tests.harness.realhost import Host

pytestmark = pytest.mark.timeout(900)
# Each line with the guest's clock before it.
_NUMBER = re.compile(r"seq=(\d+)")
_PINGING = ("(ping -i 0.2 -W 10 {target} | while read line; do read at rest < /proc/uptime; "
            "echo $at $line; done > /tmp/ping-{family}; touch /tmp/pinged-{family}) > /dev/null 2>&1 &")


class World(RealNetworks):
    """A tenant with a guest on each host."""

    def prepare(self) -> None:
        prefix = self.cloud.fabric.ipv6_prefix(1)
        self.tenant = Tenant(self.client, self.make_basics(), prefix)
        self.make_routes(self.tenant.router, prefix)
        self.g1, self.g2, self.g3 = (
            Guest(self, self.tenant, f"g{number}", host, f"10.50.0.1{number}", floating=number != 2)
            for number, host in enumerate(self.cloud.hosts, 1))
        self.g2.through = self.g3
        self.wait_reports(self.g1, self.g2, self.g3)
        wait_for(lambda: self.g2.ssh("true").returncode == 0, "ssh to g2", real_guests.BOOT_S)
        self.swap("VirtualRouter")
        wait_for(lambda: len(self.elected()) == 1, "an elected host", 30)

    def elected(self) -> list[str]:
        """Return the names of the hosts that the records say lead outside."""
        return [agent["host"] for agent in self.client.get(f"{NET}/routers/{self.tenant.router}/l3-agents").json()[
            "agents"] if agent.get("ha_state") == "active"]

    def holds(self, host: Host) -> bool:
        """Return whether a host's kernel has an address of the router's outside."""
        shown = self.client.get(f"{NET}/routers/{self.tenant.router}").json()["router"]
        namespace = (self.cloud.state(host) / "routers" / self.tenant.router
                     / names.router_namespace_name(self.tenant.router))
        done = host.run(f"nsenter --net={namespace} ip -o address")
        return any(f" {fixed['ip_address']}/" in done.stdout
                   for fixed in shown["external_gateway_info"]["external_fixed_ips"])

    def settle_on(self, host: Host) -> None:
        """Have a host lead outside, and wait until it does, and no other."""
        [agent] = [agent["id"] for agent in self.client.get(f"{NET}/agents").json()["agents"]
                   if agent["host"] == host.name]
        self.client.post(f"{NET}/agents/{agent}/l3-routers", {"router_id": self.tenant.router}).raise_for_status()
        wait_for(lambda: [other.name for other in self.cloud.hosts if other.pid and self.holds(other)] == [host.name],
                 f"{host.name} alone to lead outside", 60)

    def swap(self, provider: str) -> None:
        """Change what leads outside for the router, while it is up."""
        done = subprocess.run(self.manage_command("router", "set", self.tenant.router, "--provider", provider),
                              capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr


class Ping:
    """Five pings a second from the outside to an address, until it ends."""

    def __init__(self, address: str) -> None:
        self.answers: list[tuple[float, int]] = []
        self._process = subprocess.Popen(["busybox", "ping", "-i", "0.2", "-W", "10", address],
                                         stdout=subprocess.PIPE, text=True)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if found := _NUMBER.search(line):
                self.answers.append((time.monotonic(), int(found[1])))

    def end(self) -> list[tuple[float, int]]:
        """End, and return when which of them were answered."""
        self._process.send_signal(signal.SIGINT)
        self._process.wait(30)
        self._reader.join(30)
        return self.answers


class Pings:
    """Pings from the outside and from guests, by both families, until it is asked for the gaps."""

    def __init__(self, world: World, *guests: Guest) -> None:
        self.guests = guests
        targets = {"IPv4": world.cloud.fabric.address, "IPv6": world.cloud.fabric.ipv6_address}
        self._streams = [(guest, family) for guest in guests for family in targets]
        for guest, family in self._streams:
            pinging = _PINGING.format(target=targets[family], family=family)
            guest.run(f"rm -f /tmp/pinged-{family}; {pinging}")
        self._outside = {"IPv4": Ping(world.g3.floating), "IPv6": Ping(world.g3.ipv6)}
        self.wait_more()

    def wait_more(self, count: int = 15) -> None:
        """Wait until so many more answers of each family have come to the outside."""
        goals = {family: len(ping.answers) + count for family, ping in self._outside.items()}
        wait_for(lambda: all(len(self._outside[family].answers) >= goal for family, goal in goals.items()),
                 f"{count} more answers", 60)

    def gaps(self) -> dict[str, float]:
        """End, and return over which time answers were missed, at the longest: by the `outside` and guests by name.

        A guest that a busy machine lets wait for its turn misses none.
        """
        for guest in self.guests:
            guest.run("killall ping")
        answers = {f"outside {family}": ping.end() for family, ping in self._outside.items()}
        for guest, family in self._streams:
            wait_for(lambda guest=guest, family=family: f"pinged-{family}" in guest.ssh("ls /tmp").stdout,
                     f"the end of {guest.name}'s pings", 90, every_s=1)
            said = guest.run(f"cat /tmp/ping-{family}").splitlines()
            answers[f"{guest.name} {family}"] = [(float(line.split()[0]), int(found[1])) for line in said
                                                 if (found := _NUMBER.search(line))]
        return {name: _longest_gap(of_one) for name, of_one in answers.items()}


def _longest_gap(answers: Iterable[tuple[float, int]]) -> float:
    in_order = sorted(answers, key=operator.itemgetter(1))
    return max((later - earlier for (earlier, number), (later, following) in itertools.pairwise(in_order)
                if following > number + 1), default=0.0)


@contextlib.contextmanager
def talking(guest: Guest, seconds: int) -> Iterator[Callable[[], str]]:
    """Hold a TCP connection by a guest's floating IP on which something comes each second."""
    process = subprocess.Popen(guest.ssh_command(
        f"i=0; while [ $i -lt {seconds} ]; do echo $i; i=$((i+1)); sleep 1; done; echo done"),
        stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
    try:
        yield lambda: process.communicate(timeout=seconds + 60)[0].strip().rpartition("\n")[2]
    finally:
        process.kill()
        process.wait(30)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with World.running(tmp_path_factory.mktemp("gateway"), hosts=3) as made:
        yield made


def tell(capsys: pytest.CaptureFixture[str], what: str, gaps: dict[str, float]) -> None:
    with capsys.disabled():
        print(f"\n{what}: " + ", ".join(f"{name} {gap:.1f} s" for name, gap in gaps.items()) + " without an answer")


def test_traffic_goes_on_without_the_agent_of_the_elected_host(world: World,
                                                               capsys: pytest.CaptureFixture[str]) -> None:
    first = world.cloud.hosts[0]
    world.settle_on(first)
    with talking(world.g3, 35) as end:
        pings = Pings(world, world.g2, world.g3)
        world.cloud.fleet.processes[first.name].kill()
        # Longer than its lease.
        wait_for(lambda: real_guests.hosts_up(world.client) == 2, "the agent to count as down", 60)
        pings.wait_more(25)
        assert world.elected() == [first.name]
        world.cloud.fleet.processes[first.name].start()
        wait_for(lambda: real_guests.hosts_up(world.client) == 3, "the agent", 60)
        gaps = pings.gaps()
        tell(capsys, "agent killed for longer than service_down_time", gaps)
        assert max(gaps.values()) < 1 and end() == "done"
    assert world.elected() == [first.name] and world.holds(first)


def test_one_that_is_cut_off_learns_that_it_leads_no_more(world: World) -> None:
    first, *others = world.cloud.hosts
    world.settle_on(first)
    Pings(world).gaps()
    first.check("ip link set eth0 down")
    try:
        wait_for(lambda: any(map(world.holds, others)), "another host to lead outside", 20)
        [chosen] = world.elected()
        assert chosen != first.name and world.holds(first)
    finally:
        first.check("ip link set eth0 up")
    wait_for(lambda: not world.holds(first), "it to let go of the address", 90)
    wait_for(lambda: real_guests.hosts_up(world.client) == 3, "its agent", 60)
    assert world.elected() == [chosen]
    Pings(world).gaps()


def test_the_provider_of_a_running_router_is_swapped(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    for provider in ("Flat", "VirtualRouter"):
        with talking(world.g3, 15) as end:
            pings = Pings(world, world.g2, world.g3)
            world.swap(provider)
            pings.wait_more(30)
            gaps = pings.gaps()
            tell(capsys, f"swap to {provider}", gaps)
            assert max(gaps.values()) < 2 and end() == "done"
    wait_for(lambda: len(world.elected()) == 1, "an elected host")


def test_another_host_leads_when_the_elected_one_dies(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    first = world.cloud.hosts[0]
    world.settle_on(first)
    with talking(world.g3, 40) as end:
        pings = Pings(world, world.g2, world.g3)
        first.stop()
        pings.wait_more(40)
        gaps = pings.gaps()
        tell(capsys, "first of three hosts switched off", gaps)
        assert min(gaps.values()) > 0 and max(gaps.values()) < 5 and end() == "done"
    assert world.elected() != [first.name]


def test_the_last_one_leads_when_the_next_dies_too(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    first, second, third = world.cloud.hosts
    world.settle_on(second)
    with talking(world.g3, 40) as end:
        pings = Pings(world, world.g3)
        second.stop()
        pings.wait_more(40)
        gaps = pings.gaps()
        tell(capsys, "second of two hosts switched off", gaps)
        assert min(gaps.values()) > 0 and max(gaps.values()) < 5 and end() == "done"
    assert world.elected() == [third.name]


def test_a_host_that_is_back_does_not_take_it_back(world: World) -> None:
    first, _, third = world.cloud.hosts
    world.cloud.power_cycle(first)
    wait_for(lambda: real_guests.hosts_up(world.client) >= 2, "the host's agent", 60)
    assert world.elected() == [third.name] and world.holds(third) and not world.holds(first)
    Pings(world).gaps()
