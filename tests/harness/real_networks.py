"""Real guests on tenant networks of several hosts, the fabric as the external network, and a machine outside."""

from __future__ import annotations

import base64
import contextlib
import http.server
import json
import shlex
import socket
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from tests.harness import real_guests, real_parts, realfleet
from tests.harness.certified_fleet import CertifiedFleet
from tests.harness.client import Client
from tests.harness.fleet import MAIN
from tests.harness.ports import wait_for
from tests.harness.real_guests import BOOT_S, SSH_OPTIONS
from tests.harness.realhost import Host

NET = "/network/v2.0"
# Serves its name and a file with its checksum, and reports to the outside that it is up.
_USER_DATA = """#!/bin/sh
mkdir -p /tmp/www
hostname > /tmp/www/name
dd if=/dev/urandom of=/tmp/www/file bs=64k count=32 2> /dev/null
sha256sum < /tmp/www/file > /tmp/www/sum
httpd -p 80 -h /tmp/www
(while true; do wget -q -O /dev/null {url}/$(hostname); sleep 1; done) > /dev/null 2>&1 &
"""


class NetworkFleet(CertifiedFleet):
    """The fabric is the external network; guests may move."""

    def overrides(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Say which link leads there, and that networks are VXLAN."""
        options = super().overrides()
        options["all"] = {"network": {"tenant_network_type": "vxlan"}}
        for host in self.hosts:
            options[host.name]["network"] = {"bridge_mappings": "fabric:eth1"}
        return options


class _IPv6Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6


class Outside:
    """A web server beyond the external network, of both families, which remembers who asked it from where."""

    def __init__(self, address: str, ipv6_address: str) -> None:
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

        self._servers = (http.server.ThreadingHTTPServer((address, 0), Handler),
                         _IPv6Server((ipv6_address, 0), Handler))
        self.url, self.ipv6_url = (f"http://{host}:{server.server_port}" for host, server in zip(
            (address, f"[{ipv6_address}]"), self._servers, strict=True))
        for server in self._servers:
            threading.Thread(target=server.serve_forever, daemon=True).start()

    def close(self) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()


class Tenant:
    """A project with a network of both families behind a router to the outside. Its guests form their IPv6 addresses
    in `prefix`."""

    def __init__(self, client: Client, external: str, prefix: str) -> None:
        self.client, self.external = client, external
        self.network = self.make("network", name="inner")
        self.router = self.make("router", name="way", external_gateway_info={"network_id": external})
        self.join(self.make("subnet", network_id=self.network, ip_version=4, cidr="10.50.0.0/24"))
        self.join(self.make_ipv6_subnet(self.network, prefix, "slaac"))
        self.group = self.make("security_group", name="open")
        for ethertype, ping in (("IPv4", "icmp"), ("IPv6", "ipv6-icmp")):
            for rule in ({"protocol": ping}, *({"protocol": "tcp", "port_range_min": port, "port_range_max": port}
                                               for port in (22, 80))):
                self.make("security_group_rule", security_group_id=self.group, direction="ingress",
                          ethertype=ethertype, **rule)

    def make_ipv6_subnet(self, network: str, prefix: str, mode: str) -> str:
        return self.make("subnet", network_id=network, ip_version=6, cidr=prefix, ipv6_ra_mode=mode,
                         ipv6_address_mode=mode)

    def make(self, noun: str, **values: Any) -> str:
        made = self.client.post(f"{NET}/{noun.replace('_', '-')}s", {noun: values})
        assert made.status_code == 201, made.text
        return str(made.json()[noun]["id"])

    def put(self, path: str, body: dict[str, Any]) -> None:
        self.client.request("PUT", f"{NET}/{path}", json=body).raise_for_status()

    def join(self, subnet: str) -> None:
        self.put(f"routers/{self.router}/add_router_interface", {"subnet_id": subnet})

    def remove(self) -> None:
        """Delete all networks and what belongs to them, once no server is there."""
        delete, project = self.client.delete, f"project_id={self.client.project_id}"
        for path in ("floatingips", "ports"):
            for row in self.client.get(f"{NET}/{path}?{project}").json()[path]:
                if not row.get("device_owner"):
                    delete(f"{NET}/{path}/{row['id']}").raise_for_status()
        for port in self.client.get(f"{NET}/ports?device_id={self.router}").json()["ports"]:
            if port["device_owner"] == "network:router_interface":
                self.put(f"routers/{self.router}/remove_router_interface", {"port_id": port["id"]})
        delete(f"{NET}/routers/{self.router}").raise_for_status()


class Guest:
    """A server with one port of both families; `floating` is where it is reached from outside, or else its IPv6
    address, where the outside has a route there, or `through` another guest."""

    through: Guest | None = None

    def __init__(self, world: RealNetworks, tenant: Tenant, name: str, host: Host | None, address: str,
                 network: str = "", *, floating: bool = True, **port: Any) -> None:
        self.name, self.address, self._key, self.tenant = name, address, world.directory / "key", tenant
        self.port = tenant.make("port", **{
            "network_id": network or tenant.network, "fixed_ips": [{"ip_address": address}],
            "security_groups": [tenant.group], **port})
        shown = tenant.client.get(f"{NET}/ports/{self.port}").json()["port"]
        self.mac = str(shown["mac_address"])
        [self.ipv6] = [fixed["ip_address"] for fixed in shown["fixed_ips"] if ":" in fixed["ip_address"]]
        self.floating = ""
        if floating:
            made = tenant.client.post(f"{NET}/floatingips", {"floatingip": {
                "floating_network_id": tenant.external, "port_id": self.port}})
            self.floating = made.json()["floatingip"]["floating_ip_address"]
        user_data = base64.b64encode(_USER_DATA.format(url=world.outside.url).encode()).decode()
        self.id = tenant.client.create_server(
            world.image, name, flavorRef=world.flavor, key_name="demo", networks=[{"port": self.port}],
            user_data=user_data, **({"availability_zone": f"nova:{host.name}"} if host is not None else {}))

    def ssh(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the guest, by ssh from outside."""
        return subprocess.run(self.ssh_command(command), capture_output=True, text=True, timeout=90, check=False,
                              stdin=subprocess.DEVNULL)

    def ssh_command(self, command: str) -> list[str]:
        """Return the words that run a command in the guest."""
        way: list[str] = []
        if self.through is not None:
            way = ["-o", f"ProxyCommand={shlex.join(self.through.ssh_command(f'nc {self.address} 22'))}"]
        return ["ssh", "-i", str(self._key), *SSH_OPTIONS, *way,
                f"root@{self.address if self.through is not None else self.floating or self.ipv6}", command]

    def run(self, command: str) -> str:
        """Return what a command in the guest says; raises AssertionError when it fails."""
        done = self.ssh(command)
        assert done.returncode == 0, f"{self.name}: {command}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def fetch(self, address: str, what: str) -> str:
        """Return the checksum of what the guest gets from another one's web server."""
        return self.run(f"timeout 60 wget -q -O - http://{in_url(address)}/{what} | sha256sum")

    def name_at(self, address: str) -> str:
        """Return the name of the guest whose web server answers this one at an address."""
        return self.run(f"timeout 30 wget -q -O - http://{in_url(address)}/name")


def in_url(address: str) -> str:
    return f"[{address}]" if ":" in address else address


class RealNetworks:
    """The cloud with its external network, what guests need, and a web server outside."""

    def __init__(self, cloud: NetworkFleet, client: Client, directory: Path) -> None:
        self.cloud, self.client, self.directory = cloud, client, directory
        self.outside = Outside(cloud.fabric.address, cloud.fabric.ipv6_address)

    @classmethod
    @contextlib.contextmanager
    def running(cls, directory: Path, **fleet: Any) -> Iterator[Self]:
        """Start the cloud and prepare it; skips the tests where the machine cannot."""
        if missing := realfleet.missing():
            pytest.skip(missing)
        real_parts.tiny_image()
        cloud = NetworkFleet(directory, **fleet)
        with contextlib.ExitStack() as stack:
            stack.callback(cloud.stop)
            stack.callback(lambda: print(cloud.logs()))
            made = cls(cloud, cloud.start(), cloud.directory)
            stack.callback(made.outside.close)
            made.prepare()
            yield made

    def prepare(self) -> None:
        """Make what the tests need."""
        raise NotImplementedError

    def make_basics(self) -> str:
        """Make image, flavor, key pair and the external network; returns its id."""
        real_guests.upload_basics(self, "--public")
        self.image = str(self.client.get("/image/v2/images?name=tiny").json()["images"][0]["id"])
        self.flavor = self.client.flavor_id("tiny")
        prefix = self.cloud.fabric.prefix
        external = self.client.post(f"{NET}/networks", {"network": {
            "name": "outside", "router:external": True, "provider:network_type": "flat",
            "provider:physical_network": "fabric"}}).json()["network"]["id"]
        for subnet in ({"ip_version": 4, "cidr": f"{prefix}.0/24", "gateway_ip": self.cloud.fabric.address,
                        "allocation_pools": [{"start": f"{prefix}.100", "end": f"{prefix}.200"}]},
                       {"ip_version": 6, "cidr": self.cloud.fabric.ipv6_prefix(0),
                        "gateway_ip": self.cloud.fabric.ipv6_address}):
            self.client.post(f"{NET}/subnets", {"subnet": {"network_id": external, "enable_dhcp": False, **subnet}}
                             ).raise_for_status()
        return str(external)

    def make_routes(self, router: str, *prefixes: str) -> None:
        """Lead the outside to IPv6 prefixes by a router's address there."""
        shown = self.client.get(f"{NET}/routers/{router}").json()["router"]["external_gateway_info"]
        [address] = [fixed["ip_address"] for fixed in shown["external_fixed_ips"] if ":" in fixed["ip_address"]]
        for prefix in prefixes:
            self.cloud.fabric.lead(prefix, address)

    def wait_reports(self, *guests: Guest) -> None:
        """Wait until each guest has reported to the outside, and those with a floating IP take connections."""
        try:
            wait_for(lambda: all(self.outside.callers[guest.name] for guest in guests), "reports of all guests",
                     2 * BOOT_S, every_s=0.5)
        except TimeoutError as error:
            shown = "\n".join(host.check("ip -br link; bridge fdb show; ip neigh; nft list tables")
                              for host in self.cloud.hosts)
            raise TimeoutError(f"{error}\n{dict(self.outside.callers)}\n{shown}") from None
        for guest in guests:
            if guest.floating:
                # It reports from its user data, before it takes connections.
                wait_for(lambda guest=guest: guest.ssh("true").returncode == 0, f"ssh to {guest.name}", BOOT_S)

    def manage(self, *words: str) -> tuple[int, dict[str, Any]]:
        """Run hostler-manage; returns its exit status and what it prints as JSON."""
        done = subprocess.run(self.manage_command(*words, "--json"), capture_output=True, text=True, timeout=120,
                              check=False)
        return done.returncode, json.loads(done.stdout or "{}") or {"error": done.stderr}

    def manage_command(self, *words: str) -> list[str]:
        """Return the words that run hostler-manage."""
        return [sys.executable, "-c", MAIN.format(module="manage"), "--config-file",
                str(self.cloud.fleet.directory / "conductor.conf"), *words]
