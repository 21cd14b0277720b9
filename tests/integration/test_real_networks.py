"""Tenant networks of real guests on two hosts: across hosts, through a router, in from outside and out again, apart
from others of the same addresses, past the death of an agent; and nothing is left of them.

The tests run in their order and share four guests. `a1` and `a2` are on one VXLAN network on the two hosts, `a3` on
another one behind the same router, without a floating IP; `b1` is another tenant's, with the address of `a1`, on
either host.
"""

from __future__ import annotations

import base64
import contextlib
import http.server
import json
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness import real_guests, real_parts, realfleet
from tests.harness.at_once import at_once
from tests.harness.client import Client
from tests.harness.fleet import MAIN
from tests.harness.people import make_project, make_user
from tests.harness.ports import wait_for
from tests.harness.real_guests import BOOT_S, SSH_OPTIONS
from tests.harness.realfleet import RealFleet
from tests.harness.realhost import Host

pytestmark = pytest.mark.timeout(900)
_NET = "/network/v2.0"
# Serves its name and a file with its checksum, and reports to the outside that it is up.
_USER_DATA = """#!/bin/sh
mkdir -p /tmp/www
hostname > /tmp/www/name
dd if=/dev/urandom of=/tmp/www/file bs=64k count=32 2> /dev/null
sha256sum < /tmp/www/file > /tmp/www/sum
httpd -p 80 -h /tmp/www
(while true; do wget -q -O /dev/null {url}/$(hostname); sleep 1; done) > /dev/null 2>&1 &
"""


class NetworkFleet(RealFleet):
    """The fabric is the external network."""

    def overrides(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Say which link leads there, and that networks are VXLAN."""
        options = super().overrides()
        options["all"] = {"network": {"tenant_network_type": "vxlan"}}
        for host in self.hosts:
            options[host.name]["network"] = {"bridge_mappings": "fabric:eth1"}
        return options


class Outside:
    """A web server beyond the external network, which remembers who asked it from where."""

    def __init__(self, address: str) -> None:
        self.callers: defaultdict[str, set[str]] = defaultdict(set)
        callers = self.callers

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                callers[self.path.strip("/")].add(str(self.client_address[0]))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Nothing."""

        self._server = http.server.ThreadingHTTPServer((address, 0), Handler)
        self.url = f"http://{address}:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Tenant:
    """A project with a network behind a router to the outside."""

    def __init__(self, client: Client, external: str) -> None:
        self.client, self.external = client, external
        self.network = self.make("network", name="inner")
        self.subnet = self.make("subnet", network_id=self.network, ip_version=4, cidr="10.50.0.0/24")
        self.router = self.make("router", name="way", external_gateway_info={"network_id": external})
        self.join(self.subnet)
        self.group = self.make("security_group", name="open")
        for rule in ({"protocol": "icmp"}, *({"protocol": "tcp", "port_range_min": port, "port_range_max": port}
                                             for port in (22, 80))):
            self.make("security_group_rule", security_group_id=self.group, direction="ingress", **rule)

    def make(self, noun: str, **values: Any) -> str:
        made = self.client.post(f"{_NET}/{noun.replace('_', '-')}s", {noun: values})
        assert made.status_code == 201, made.text
        return str(made.json()[noun]["id"])

    def put(self, path: str, body: dict[str, Any]) -> None:
        self.client.request("PUT", f"{_NET}/{path}", json=body).raise_for_status()

    def join(self, subnet: str) -> None:
        self.put(f"routers/{self.router}/add_router_interface", {"subnet_id": subnet})

    def remove(self) -> None:
        """Delete all networks and what belongs to them, once no server is there."""
        delete, project = self.client.delete, f"project_id={self.client.project_id}"
        for path in ("floatingips", "ports"):
            for row in self.client.get(f"{_NET}/{path}?{project}").json()[path]:
                if not row.get("device_owner"):
                    delete(f"{_NET}/{path}/{row['id']}").raise_for_status()
        for port in self.client.get(f"{_NET}/ports?device_id={self.router}").json()["ports"]:
            if port["device_owner"] == "network:router_interface":
                self.put(f"routers/{self.router}/remove_router_interface", {"port_id": port["id"]})
        delete(f"{_NET}/routers/{self.router}").raise_for_status()


class Guest:
    """A server with one port; `floating` is where it is reached from outside, if anywhere."""

    def __init__(self, world: World, tenant: Tenant, name: str, host: Host | None, address: str, network: str = "",
                 *, floating: bool = True) -> None:
        self.name, self.address, self._key, self.tenant = name, address, world.directory / "key", tenant
        self.port = tenant.make("port", network_id=network or tenant.network, fixed_ips=[{"ip_address": address}],
                                security_groups=[tenant.group])
        self.floating = ""
        if floating:
            made = tenant.client.post(f"{_NET}/floatingips", {"floatingip": {
                "floating_network_id": tenant.external, "port_id": self.port}})
            self.floating = made.json()["floatingip"]["floating_ip_address"]
        user_data = base64.b64encode(_USER_DATA.format(url=world.outside.url).encode()).decode()
        self.id = tenant.client.create_server(
            world.image, name, flavorRef=world.flavor, key_name="demo", networks=[{"port": self.port}],
            user_data=user_data, **({"availability_zone": f"nova:{host.name}"} if host is not None else {}))

    def ssh(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the guest, by ssh from outside."""
        return subprocess.run(["ssh", "-i", self._key, *SSH_OPTIONS, f"root@{self.floating}", command],
                              capture_output=True, text=True, timeout=90, check=False, stdin=subprocess.DEVNULL)

    def run(self, command: str) -> str:
        """Return what a command in the guest says; raises AssertionError when it fails."""
        done = self.ssh(command)
        assert done.returncode == 0, f"{self.name}: {command}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def fetch(self, address: str, what: str) -> str:
        """Return the checksum of what the guest gets from another one's web server."""
        return self.run(f"timeout 60 wget -q -O - http://{address}/{what} | sha256sum")


class World:
    """The cloud, two tenants, and the guests."""

    def __init__(self, cloud: NetworkFleet, client: Client, directory: Path) -> None:
        self.cloud, self.client, self.directory = cloud, client, directory
        self.outside = Outside(cloud.fabric.address)

    def prepare(self) -> None:
        """Make everything and wait until each guest has reported to the outside."""
        real_guests.upload_basics(self, "--public")
        self.image = str(self.client.get("/image/v2/images?name=tiny").json()["images"][0]["id"])
        self.flavor = self.client.flavor_id("tiny")
        prefix = self.cloud.fabric.prefix
        external = self.client.post(f"{_NET}/networks", {"network": {
            "name": "outside", "router:external": True, "provider:network_type": "flat",
            "provider:physical_network": "fabric"}}).json()["network"]["id"]
        self.client.post(f"{_NET}/subnets", {"subnet": {
            "network_id": external, "ip_version": 4, "cidr": f"{prefix}.0/24", "gateway_ip": self.cloud.fabric.address,
            "enable_dhcp": False, "allocation_pools": [{"start": f"{prefix}.100", "end": f"{prefix}.200"}]}}
                         ).raise_for_status()
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
        try:
            wait_for(lambda: all(self.outside.callers[guest.name] for guest in self.guests), "reports of all guests",
                     2 * BOOT_S, every_s=0.5)
        except TimeoutError as error:
            shown = "\n".join(host.check("ip -br link; bridge fdb show; ip neigh; nft list tables")
                              for host in self.cloud.hosts)
            raise TimeoutError(f"{error}\n{dict(self.outside.callers)}\n{shown}") from None
        for guest in self.guests:
            if guest.floating:
                # It reports from its user data, before it takes connections.
                wait_for(lambda guest=guest: guest.ssh("true").returncode == 0, f"ssh to {guest.name}", BOOT_S)

    @property
    def guests(self) -> tuple[Guest, ...]:
        return self.a1, self.a2, self.a3, self.b1

    def manage(self, *words: str) -> tuple[int, dict[str, Any]]:
        """Run hostler-manage; returns its exit status and what it prints as JSON."""
        done = subprocess.run([sys.executable, "-c", MAIN.format(module="manage"), "--config-file",
                               self.cloud.fleet.directory / "conductor.conf", *words, "--json"],
                              capture_output=True, text=True, timeout=120, check=False)
        return done.returncode, json.loads(done.stdout or "{}") or {"error": done.stderr}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    if missing := realfleet.missing():
        pytest.skip(missing)
    real_parts.tiny_image()
    cloud = NetworkFleet(tmp_path_factory.mktemp("networks"))
    with contextlib.ExitStack() as stack:
        stack.callback(cloud.stop)
        stack.callback(lambda: print(cloud.logs()))
        made = World(cloud, cloud.start(), cloud.directory)
        stack.callback(made.outside.close)
        made.prepare()
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
        f"{_NET}/ports?device_id={world.a.router}").json()["ports"] for address in port["fixed_ips"]}
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
    return str(guest.tenant.client.get(f"{_NET}/ports/{guest.port}").json()["port"]["mac_address"])


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
