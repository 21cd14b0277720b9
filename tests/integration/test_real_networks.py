"""Tenant networks of real guests on two hosts: across hosts, through a router, in from outside and out again, apart
from others of the same addresses, past the death of an agent; and nothing is left of them.

The tests run in their order and share four guests. `a1` and `a2` are on one VXLAN network on the two hosts, `a3` on
another one behind the same router, without a floating IP; `b1` is another tenant's, with the address of `a1`, on
either host.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness import real_guests
from tests.harness.at_once import at_once
from tests.harness.people import make_project, make_user
from tests.harness.ports import wait_for
from tests.harness.real_networks import NET, Guest, RealNetworks, Tenant
from tests.harness.realhost import Host

pytestmark = pytest.mark.timeout(900)


class World(RealNetworks):
    """Two tenants, and their guests."""

    def prepare(self) -> None:
        """Make everything and wait until each guest has reported to the outside."""
        external = self.make_basics()
        other = make_user(self.client, "other", make_project(self.client, "other"))
        key = (self.directory / "key.pub").read_text()
        other.post("/compute/v2.1/os-keypairs", {"keypair": {"name": "demo", "public_key": key}}).raise_for_status()
        self.a, self.b = Tenant(self.client, external), Tenant(other, external)
        far = self.a.make("network", name="far")
        self.a.join(self.a.make("subnet", network_id=far, ip_version=4, cidr="10.51.0.0/24"))
        first, second = self.cloud.hosts
        self.a1, self.a2 = (Guest(self, self.a, name, host, address) for name, host, address in (
            ("a1", first, "10.50.0.11"), ("a2", second, "10.50.0.12")))
        self.a3 = Guest(self, self.a, "a3", second, "10.51.0.13", far, floating=False)
        self.b1 = Guest(self, self.b, "b1", None, "10.50.0.11")
        self.wait_reports(*self.guests)

    @property
    def guests(self) -> tuple[Guest, ...]:
        return self.a1, self.a2, self.a3, self.b1


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with World.running(tmp_path_factory.mktemp("networks")) as made:
        yield made


def test_a_network_spans_hosts(world: World) -> None:
    assert " 0% packet loss" in world.a1.run(f"ping -c 5 -W 5 {world.a2.address}")
    assert world.a1.fetch(world.a2.address, "file") == world.a2.run("cat /tmp/www/sum")
    assert world.a2.fetch(world.a1.address, "file") == world.a1.run("cat /tmp/www/sum")


def test_a_router_joins_subnets_across_hosts(world: World) -> None:
    assert world.a1.run(f"timeout 30 wget -q -O - http://{world.a3.address}/name") == "a3"
    assert world.a2.run(f"timeout 30 wget -q -O - http://{world.a3.address}/name") == "a3"


def test_outside_in_by_floating_ips_and_inside_out(world: World) -> None:
    for guest in (world.a1, world.a2, world.b1):
        assert guest.run("hostname") == guest.name
        assert guest.floating in world.outside.callers[guest.name]
    [source] = world.outside.callers["a3"]
    addresses = {address["ip_address"]: port["device_owner"] for port in world.client.get(
        f"{NET}/ports?device_id={world.a.router}").json()["ports"] for address in port["fixed_ips"]}
    assert addresses[source] in ("network:router_gateway", "network:floatingip_agent_gateway")


def test_tenants_with_the_same_addresses_do_not_meet(world: World) -> None:
    assert world.b1.address == world.a1.address
    with pytest.raises(AssertionError, match="100% packet loss"):
        world.b1.run(f"ping -c 3 -W 2 {world.a2.address}")
    assert world.a2.run(f"timeout 30 wget -q -O - http://{world.a1.address}/name") == "a1"


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
              if f"dst {world.cloud.hosts[1].address}" in line and line.startswith(_mac(world.a2))]
    device = line.split()[2]
    host.check(f"bridge fdb del {_mac(world.a2)} dev {device} dst {world.cloud.hosts[1].address} self")
    status, report = world.manage("trace-packet", world.a1.port, world.a2.port)
    assert status == 1 and _mac(world.a2) in report["hops"][-1]["what"], report
    status, report = world.manage("doctor", "--check", "host-networks", "--repair")
    assert [finding["outcome"] for finding in report["findings"]] == ["made it right"], report
    assert " 0% packet loss" in world.a1.run(f"ping -c 3 -W 5 {world.a2.address}")


def _mac(guest: Guest) -> str:
    return str(guest.tenant.client.get(f"{NET}/ports/{guest.port}").json()["port"]["mac_address"])


def test_an_agents_death_loses_no_packet(world: World) -> None:
    for guest, target in ((world.a1, world.a2.address), (world.a2, world.a3.address)):
        guest.run(f"(ping -i 0.2 -c 60 -W 10 {target} > /tmp/ping 2>&1; touch /tmp/pinged) > /dev/null 2>&1 &")
    agents = [world.cloud.fleet.processes[host.name] for host in world.cloud.hosts]
    for agent in agents:
        agent.kill()
        agent.start()
    wait_for(lambda: real_guests.hosts_up(world.client) == 2, "both agents", 60)
    for guest in (world.a1, world.a2):
        wait_for(lambda guest=guest: guest.run("ls /tmp").find("pinged") >= 0, "the end of the pings", 90, every_s=1)
        assert " 0% packet loss" in guest.run("cat /tmp/ping")


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
