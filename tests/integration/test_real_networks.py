"""Tenant networks of real guests on two hosts, of both families: across hosts, through a router, in from outside and
out again, apart from others of the same addresses, past the death of an agent, and after a move; and nothing is left.

The tests run in their order and share four guests. `a1` and `a2` are on one VXLAN network on the two hosts, `a3` on
another one behind the same router, without a floating IP; `b1` is another tenant's, with the addresses and the MAC of
`a1`, on either host. The guests of `far` ask for their IPv6 addresses (DHCPv6), the others form them.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from compute.network import names
from tests.harness import real_guests
from tests.harness.at_once import at_once
from tests.harness.people import make_project, make_user
from tests.harness.ports import wait_for
from tests.harness.real_networks import NET, Guest, RealNetworks, Tenant
from tests.harness.realhost import Host

pytestmark = pytest.mark.timeout(900)
_DHCPV6 = Path(__file__).parents[1] / "harness" / "guest_dhcpv6.c"
METADATA = ("http://169.254.169.254/latest/meta-data/hostname",
            "'http://[fe80::a9fe:a9fe%eth0]/latest/meta-data/hostname'")


class World(RealNetworks):
    """Two tenants, and their guests."""

    def prepare(self) -> None:
        """Make everything and wait until each guest has reported to the outside."""
        external, fabric = self.make_basics(), self.cloud.fabric
        other = make_user(self.client, "other", make_project(self.client, "other"))
        key = (self.directory / "key.pub").read_text()
        other.post("/compute/v2.1/os-keypairs", {"keypair": {"name": "demo", "public_key": key}}).raise_for_status()
        self.a, self.b = (Tenant(client, external, fabric.ipv6_prefix(1)) for client in (self.client, other))
        far = self.a.make("network", name="far")
        self.a.join(self.a.make("subnet", network_id=far, ip_version=4, cidr="10.51.0.0/24"))
        subnet = self.a.make_ipv6_subnet(far, fabric.ipv6_prefix(2), "dhcpv6-stateful")
        self.a.join(subnet)
        self.make_routes(self.a.router, fabric.ipv6_prefix(1), fabric.ipv6_prefix(2))
        first, second = self.cloud.hosts
        self.a1, self.a2 = (Guest(self, self.a, name, host, address) for name, host, address in (
            ("a1", first, "10.50.0.11"), ("a2", second, "10.50.0.12")))
        self.a3 = Guest(self, self.a, "a3", second, "10.51.0.13", far, floating=False,
                        fixed_ips=[{"ip_address": "10.51.0.13"}, {"subnet_id": subnet}])
        self.a3.through = self.a2
        self.b1 = Guest(self, self.b, "b1", None, "10.50.0.11", mac_address=self.a1.mac)
        self.wait_reports(*self.guests)

    @property
    def guests(self) -> tuple[Guest, ...]:
        return self.a1, self.a2, self.a3, self.b1

    def put_dhcpv6(self, guest: Guest) -> bool:
        """Give the guest a DHCPv6 client; returns whether one can be made here: a static program for it."""
        compiler, program = shutil.which("cc"), self.directory / "dhcpv6"
        done = subprocess.run([compiler or "false", "-static", "-Os", "-o", str(program), str(_DHCPV6)],
                              capture_output=True, text=True, check=False)
        if done.returncode:
            return False
        with program.open("rb") as text:
            subprocess.run(guest.ssh_command("cat > /tmp/dhcpv6 && chmod +x /tmp/dhcpv6"), stdin=text, check=True,
                           timeout=90)
        return True


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with World.running(tmp_path_factory.mktemp("networks")) as made:
        yield made


def test_guests_get_their_addresses_from_their_own_host(world: World) -> None:
    """Each host's servers know the guests there alone."""
    asked = world.put_dhcpv6(world.a3)
    assert not asked or world.a3.run("/tmp/dhcpv6 eth0") == world.a3.ipv6
    world.a3.run(f"ip -6 addr add {world.a3.ipv6}/64 dev eth0")
    for guest in world.guests:
        wait_for(lambda guest=guest: f" {guest.ipv6}/64" in guest.run("ip -6 addr show dev eth0"), guest.ipv6, 30)
        for url in METADATA:
            assert guest.run(f"timeout 30 wget -q -O - {url}") == guest.name
    hosts = {guest.name: (world.client.show(guest.id) or {})["OS-EXT-SRV-ATTR:host"] for guest in world.guests}
    for host in world.cloud.hosts:
        own = {name for name in hosts if hosts[name] == host.name}
        leases = "".join(path.read_text() for path in (world.cloud.state(host) / "networks").glob("*/dnsmasq.leases"))
        assert {guest.name for guest in world.guests if f" {guest.address} {guest.name} " in leases} == own, leases
        assert (f" {world.a3.ipv6} " in leases) == (asked and "a3" in own), leases


@pytest.mark.parametrize("family", ["address", "ipv6"])
def test_a_network_spans_hosts(world: World, family: str) -> None:
    here, there = getattr(world.a1, family), getattr(world.a2, family)
    assert " 0% packet loss" in world.a1.run(f"ping -c 5 -W 5 {there}")
    assert world.a1.fetch(there, "file") == world.a2.run("cat /tmp/www/sum")
    assert world.a2.fetch(here, "file") == world.a1.run("cat /tmp/www/sum")


@pytest.mark.parametrize("family", ["address", "ipv6"])
def test_a_router_joins_subnets_across_hosts(world: World, family: str) -> None:
    for guest in (world.a1, world.a2):
        assert guest.name_at(getattr(world.a3, family)) == "a3"


def test_outside_in_by_floating_ips_and_inside_out(world: World) -> None:
    for guest in (world.a1, world.a2, world.b1):
        assert guest.run("hostname") == guest.name
        assert guest.floating in world.outside.callers[guest.name]
    [source] = world.outside.callers["a3"]
    addresses = {address["ip_address"]: port["device_owner"] for port in world.client.get(
        f"{NET}/ports?device_id={world.a.router}").json()["ports"] for address in port["fixed_ips"]}
    assert addresses[source] in ("network:router_gateway", "network:floatingip_agent_gateway")


def test_ipv6_goes_in_and_out_as_it_is(world: World) -> None:
    for guest in (world.a1, world.a2, world.a3):
        guest.run(f"timeout 30 wget -q -O /dev/null {world.outside.ipv6_url}/{guest.name}-ipv6")
        assert world.outside.callers[f"{guest.name}-ipv6"] == {guest.ipv6}
        done = subprocess.run(["curl", "-g", "-sS", "--max-time", "30", f"http://[{guest.ipv6}]/name"],
                              capture_output=True, text=True, check=False)
        assert done.stdout.strip() == guest.name, done.stderr


@pytest.mark.parametrize("family", ["address", "ipv6"])
def test_tenants_with_the_same_addresses_do_not_meet(world: World, family: str) -> None:
    assert (world.b1.mac, getattr(world.b1, family)) == (world.a1.mac, getattr(world.a1, family))
    with pytest.raises(AssertionError, match="100% packet loss"):
        world.b1.run(f"ping -c 3 -W 2 {getattr(world.a2, family)}")
    assert world.a2.name_at(getattr(world.a1, family)) == "a1"


def test_the_doctor_finds_nothing_and_a_traced_packet_arrives(world: World) -> None:
    status, report = world.manage("doctor", "--check", "host-networks", "--check", "routers")
    assert report.get("findings") == [] and report["unseen"] == [], (status, report)
    for target in (world.a3.port, world.b1.floating):
        status, report = world.manage("trace-packet", world.a1.port, target)
        assert status == 0, report
    status, report = world.manage("trace-packet", world.a1.port, world.a2.port, "--protocol", "tcp", "--port", "81")
    assert (status, report["verdict"]) == (1, "drop") and "no ingress rule" in report["hops"][-1]["what"], report


def test_a_line_that_a_hand_took_is_traced_and_made_right(world: World) -> None:
    host = world.cloud.hosts[0]
    [line] = [line for line in host.check("bridge fdb show").splitlines()
              if f"dst {world.cloud.hosts[1].address}" in line and line.startswith(world.a2.mac)]
    device = line.split()[2]
    host.check(f"bridge fdb del {world.a2.mac} dev {device} dst {world.cloud.hosts[1].address} self")
    status, report = world.manage("trace-packet", world.a1.port, world.a2.port)
    assert status == 1 and world.a2.mac in report["hops"][-1]["what"], report
    status, report = world.manage("doctor", "--check", "host-networks", "--repair")
    assert [finding["outcome"] for finding in report["findings"]] == ["made it right"], report
    assert " 0% packet loss" in world.a1.run(f"ping -c 3 -W 5 {world.a2.address}")


def test_an_agents_death_loses_no_packet(world: World) -> None:
    pairs = [(guest, family, getattr(target, family)) for guest, target in ((world.a1, world.a2), (world.a2, world.a3))
             for family in ("address", "ipv6")]
    for guest, family, target in pairs:
        guest.run(f"(ping -i 0.2 -c 60 -W 10 {target} > /tmp/ping-{family} 2>&1; touch /tmp/pinged-{family}) "
                  "> /dev/null 2>&1 &")
    agents = [world.cloud.fleet.processes[host.name] for host in world.cloud.hosts]
    for agent in agents:
        agent.kill()
        agent.start()
    wait_for(lambda: real_guests.hosts_up(world.client) == 2, "both agents", 60)
    for guest, family, _ in pairs:
        wait_for(lambda guest=guest, family=family: f"pinged-{family}" in guest.run("ls /tmp"), "the end of the pings",
                 90, every_s=1)
        assert " 0% packet loss" in guest.run(f"cat /tmp/ping-{family}"), (guest.name, family)


def test_a_floating_ip_follows_its_guest_to_another_host(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    guest, (first, second) = world.a1, world.cloud.hosts
    path, client = f"/compute/v2.1/servers/{guest.id}/action", world.client

    def act(action: str, status: str) -> None:
        client.post(path, {action: None}).raise_for_status()
        wait_for(lambda: (shown := client.show(guest.id) or {}).get("status") == status
                 and shown.get("OS-EXT-STS:task_state") is None, f"{action} to end", 90, every_s=0.2)

    assert guest.floating in _addresses(world, first) and guest.floating not in _addresses(world, second)
    act("os-stop", "SHUTOFF")
    act("migrate", "VERIFY_RESIZE")
    act("confirmResize", "SHUTOFF")
    world.outside.callers[guest.name].clear()
    began = time.monotonic()
    act("os-start", "ACTIVE")
    shown = client.show(guest.id) or {}
    assert shown["OS-EXT-SRV-ATTR:host"] == second.name
    wait_for(lambda: _answers(guest.floating) and _answers(guest.ipv6), "answers from outside", real_guests.BOOT_S)
    with capsys.disabled():
        print(f"\nreached from outside {time.monotonic() - began:.1f} s after its start was asked for")
    wait_for(lambda: guest.ssh("hostname").stdout.strip() == guest.name, "ssh", real_guests.BOOT_S)
    guest.run("sh /run/config/user-data > /dev/null 2>&1 &")  # which runs by itself at the first boot only
    wait_for(lambda: world.outside.callers[guest.name], "its word", 30)
    assert world.outside.callers[guest.name] == {guest.floating}
    # `b1`, with the same addresses and the same MAC, stays where it was.
    assert world.b1.run("hostname") == "b1"
    for family in ("address", "ipv6"):
        assert world.a2.name_at(getattr(guest, family)) == world.a3.name_at(getattr(guest, family)) == "a1"
    assert guest.floating in _addresses(world, second) and guest.floating not in _addresses(world, first)
    assert _of(world, first, world.a) == [], "the tenant has nobody there any more"
    assert world.manage("doctor", "--check", "host-networks", "--check", "routers")[1].get("findings") == []


def test_nothing_is_left(world: World) -> None:
    for guest in world.guests:
        guest.tenant.client.post(f"/compute/v2.1/servers/{guest.id}/action", {"forceDelete": None})
    at_once(*(lambda guest=guest: guest.tenant.client.wait_gone(guest.id) for guest in world.guests))
    for host in world.cloud.hosts:
        wait_for(lambda host=host: _left(world, host) == [], f"nothing left on {host.name}", 60, every_s=0.5)
    for tenant in (world.a, world.b):
        tenant.remove()
    assert world.manage("doctor", "--check", "host-networks", "--check", "routers")[1].get("findings") == []


def _left(world: World, host: Host) -> list[str]:
    """Return links, tables, namespaces and DHCP servers that are there for networks and routers."""
    state = world.cloud.state(host)
    return [*host.links(), *(line for line in host.check("nft list tables").splitlines() if "hostler" in line),
            *(str(path) for kind in ("networks", "routers") for path in (state / kind).glob("*")),
            *(name for name in host.programs() if name == "dnsmasq")]


def _answers(address: str) -> bool:
    return subprocess.run(["busybox", "ping", "-c", "1", "-W", "1", address], capture_output=True,
                          check=False).returncode == 0


def _addresses(world: World, host: Host) -> str:
    """Return all addresses, translations and neighbours of routers on a host."""
    return host.check(f"for namespace in {world.cloud.state(host)}/routers/*/hostler-router-*; do nsenter "
                      "--net=$namespace sh -c 'ip -o address; nft list ruleset; ip neigh'; done")


def _of(world: World, host: Host, tenant: Tenant) -> list[str]:
    """Return what a host has of a tenant's networks and router."""
    networks = [row["id"] for row in tenant.client.get(
        f"{NET}/networks?project_id={tenant.client.project_id}&router:external=false").json()["networks"]]
    mine = {*networks, tenant.router}
    links = {name(network) for network in networks for name in (names.bridge_name, names.vxlan_name)}
    tables = {names.table_name(network) for network in networks}
    return [*(link for link in host.links() if link in links),
            *(line for line in host.check("nft list tables").splitlines() if line.split()[-1] in tables),
            *(str(path) for kind in ("networks", "routers")
              for path in (world.cloud.state(host) / kind).glob("*") if path.name.partition(".")[0] in mine)]
