"""A host, its plumbing, and guests for `test_network_plumbing`: namespaces on a real kernel.

A guest is a namespace whose link is named like the tap device that a hypervisor would make.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyroute2 import IPRoute

from compute import network as plumbing_package
from compute.network import names, namespaces
from compute.network.plumbing import NetworkPlumbing
from hostler import conf as hostler_conf
from hostler import ids
from hostler.resources.server.specs import FixedIpSpec, NetworkSpec, PortSpec, RuleSpec, ServerSpec, SubnetSpec

ALLOW_OUT = RuleSpec(direction="egress", ethertype="IPv4")
ALLOW_PING = RuleSpec(direction="ingress", ethertype="IPv4", protocol="icmp")

_PROGRAMS = ("dnsmasq", "nft", "busybox", "nsenter", "curl")
_MISSING = [program for program in _PROGRAMS if shutil.which(program) is None]
# What a test module that uses the lab needs of the machine.
NEEDS = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: network namespaces, bridges, nftables"),
    pytest.mark.skipif(bool(_MISSING), reason=f"programs not installed: {', '.join(_MISSING)}"),
    pytest.mark.skipif(not Path("/proc/sys/net/bridge").exists() and shutil.which("modprobe") is None,
                       reason="the kernel has no br_netfilter"),
]

_CLONE_NEWNET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)

# udhcpc tells its script what it got through the environment; the script applies it and keeps a copy.
_UDHCPC_SCRIPT = """#!/bin/sh
B=/usr/bin/busybox; command -v $B >/dev/null || B=/bin/busybox
case $1 in
deconfig) $B ip addr flush dev $interface ;;
bound|renew)
  $B env > "$LEASE_OUT"
  $B ip addr flush dev $interface; $B ip addr add $ip/$mask dev $interface
  set -- $staticroutes
  while [ $# -ge 2 ]; do $B ip route add $1 via $2 dev $interface; shift 2; done ;;
esac
"""


@contextlib.contextmanager
def host_network() -> Iterator[None]:
    """Move this process's main thread, and so all threads it starts, into a fresh 'host' network."""
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    if _LIBC.unshare(_CLONE_NEWNET) != 0:
        os.close(before)
        pytest.skip(f"no new network namespace: {os.strerror(ctypes.get_errno())}")
    with IPRoute() as ipr:
        ipr.link("set", index=1, state="up")
    yield
    assert _LIBC.setns(before, _CLONE_NEWNET) == 0
    os.close(before)


class Cloud:
    """A host's plumbing in a scratch directory, and guests on it."""

    def __init__(self, directory: Path, **overrides: object) -> None:
        self.directory = directory
        options: dict[str, object] = {key.replace("__", "."): value for key, value in overrides.items()}
        options["state_path"] = str(directory / "state")
        self.conf = hostler_conf.load([], config_files=[], overrides=options)
        self.plumbing: NetworkPlumbing = plumbing_package.build(self.conf)
        self.guests: list[Guest] = []
        self.networks: dict[str, NetworkSpec] = {}

    def restart_agent(self) -> None:
        """Replace the agent by another one, without an announcement."""
        self.plumbing.close()
        self.plumbing = plumbing_package.build(self.conf)

    def boot(self, number: int, net: NetworkSpec, *rules: RuleSpec, **values: Any) -> Guest:
        """Plug a port of a new server and start its guest (which has no address yet)."""
        server, port = make_server(number, net, rules, **values)
        assert self.plumbing.plug(server, port) == names.bridge_name(net.id)
        self.networks[net.id] = net
        guest = Guest(self.directory / f"guest-{port.id}", server, port)
        self.guests.append(guest)
        self.plumbing.activate(port)
        return guest

    def state(self, network_id: str) -> Path:
        return self.directory / "state" / "compute" / "networks" / network_id

    def dnsmasq_pid(self, network_id: str) -> int:
        return int((self.state(network_id) / "dnsmasq.pid").read_text())

    def tear_down(self) -> None:
        for guest in self.guests:
            guest.power_off()
        self.plumbing.restore([])
        self.plumbing.close()


class Guest:
    """A namespace linked to the network's bridge by a device with the tap's name."""

    def __init__(self, path: Path, server: ServerSpec, port: PortSpec) -> None:
        self.path, self.server, self.port = path, server, port
        self.address = port.fixed_ips[0].ip_address
        self.processes: list[subprocess.Popen[bytes]] = []
        namespaces.create(path)
        tap = names.tap_name(port.id)
        with path.open("rb") as handle, IPRoute() as ipr:
            ipr.link("add", ifname=tap, kind="veth", peer={"ifname": "eth0", "net_ns_fd": handle.fileno(),
                                                           "address": port.mac_address})
            bridge = ipr.link_lookup(ifname=names.bridge_name(port.network.id))[0]
            ipr.link("set", index=ipr.link_lookup(ifname=tap)[0], master=bridge, state="up")
        self.run("busybox ip link set lo up; busybox ip link set eth0 up")

    def run(self, command: str, timeout_s: float = 15, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["nsenter", f"--net={self.path}", "sh", "-c", command], capture_output=True, text=True,
                              timeout=timeout_s, check=False, env={**os.environ, **environment})

    def dhcp(self, tries: int = 4) -> dict[str, str]:
        """Ask for an address; return what the client got (empty when no server answered)."""
        script, out = self.path.with_suffix(".sh"), self.path.with_suffix(".lease")
        script.write_text(_UDHCPC_SCRIPT)
        script.chmod(0o755)
        out.unlink(missing_ok=True)
        done = self.run(f"busybox udhcpc -i eth0 -n -q -f -t {tries} -T 1 -A 1 -s {script} -O 121 -O 26 -O 12 -O 15",
                        30, LEASE_OUT=str(out))
        if done.returncode != 0:
            return {}
        return dict(line.split("=", 1) for line in out.read_text().splitlines() if "=" in line)

    def fetch(self, url: str) -> tuple[int, str]:
        done = self.run(f"curl -s -m 5 -w '\\n%{{http_code}}' {url}")
        body, _, status = done.stdout.rpartition("\n")
        return int(status), body

    def pings(self, address: str) -> bool:
        once = f"busybox ping -c 1 -W 1 {address}"
        return self.run(f"{once} || {once}").returncode == 0

    def listen(self, port: int) -> None:
        """Answer every TCP connection on `port` with the guest's address, and go on echoing lines."""
        process = subprocess.Popen(["nsenter", f"--net={self.path}", "busybox", "nc", "-ll", "-p", str(port), "-e",
                                    "sh", "-c", f"echo {self.address}; exec cat"], stdin=subprocess.DEVNULL)
        self.processes.append(process)
        assert wait_for(lambda: f":{port:04X} " in self.run("cat /proc/net/tcp /proc/net/tcp6").stdout)

    def connect(self, address: str, port: int, *, greeted: bool = True) -> socket.socket | None:
        """See `dial`."""
        return namespaces.run_inside(self.path, lambda: dial(address, port, greeted=greeted))

    def reaches(self, address: str, port: int) -> bool:
        connection = self.connect(address, port)
        if connection is not None:
            connection.close()
        return connection is not None

    def send_frame(self, frame: bytes) -> None:
        def _send() -> None:
            with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
                raw.bind(("eth0", 0))
                raw.send(frame)
        namespaces.run_inside(self.path, _send)

    def sniff(self) -> socket.socket:
        """Return a socket that hears every frame that reaches this guest."""
        def _open() -> socket.socket:
            raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            raw.bind(("eth0", 3))
            raw.settimeout(0.4)
            return raw
        return namespaces.run_inside(self.path, _open)

    def power_off(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()
        with IPRoute() as ipr:
            for index in ipr.link_lookup(ifname=names.tap_name(self.port.id)):
                ipr.link("del", index=index)
        namespaces.remove(self.path)


def dial(address: str, port: int, *, greeted: bool = True) -> socket.socket | None:
    """Return a connection to `address`, or None when it is not let through within two seconds.

    What was let through has all the time that a busy machine takes to greet, unless nobody will (`greeted`).
    """
    try:
        connection = socket.create_connection((address, port), timeout=2)
        connection.settimeout(20)
        if greeted:
            connection.recv(100)
    except OSError:
        return None
    return connection


def wait_for(condition: Any, timeout_s: float = 20) -> bool:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def make_network(**values: Any) -> NetworkSpec:
    subnet = {"id": ids.new_id(), "cidr": "10.77.0.0/24", "gateway_ip": "10.77.0.1", "dhcp_ip": "10.77.0.2",
              "dns_nameservers": ("192.0.2.53",), **values.pop("subnet", {})}
    return NetworkSpec(**{"id": ids.new_id(), "name": "net", "mtu": 1450, "subnets": (SubnetSpec(**subnet),), **values})


def make_server(number: int, net: NetworkSpec, rules: tuple[RuleSpec, ...],
                **values: Any) -> tuple[ServerSpec, PortSpec]:
    server_id = ids.new_id()
    server_values = values.pop("server", {})
    address = values.pop("address", f"{net.subnets[0].cidr.rpartition('.')[0]}.{number}")
    port = PortSpec(**{"id": ids.new_id(), "mac_address": f"fa:16:3e:00:00:{number:02x}", "network": net,
                       "server_id": server_id, "hostname": f"guest{number}", "rules": rules,
                       "fixed_ips": (FixedIpSpec(ip_address=address, subnet_id=net.subnets[0].id),), **values})
    server = ServerSpec(**{"id": server_id, "name": f"guest{number}", "hostname": f"guest{number}", "project_id": "p",
                           "user_id": "u", "vcpus": 1, "ram_mib": 64, "root_gib": 1, "ports": (port,),
                           "public_key": "ssh-ed25519 AAAA test", "user_data": "IyEvYmluL3NoCg==", **server_values})
    return server, port


def ruleset() -> str:
    return subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True, check=True).stdout


def link_names() -> list[str]:
    with IPRoute() as ipr:
        return [link.get_attr("IFLA_IFNAME") for link in ipr.get_links()]


def ours() -> list[str]:
    return [name for name in link_names() if name.startswith(("hbr", "hvh"))]


def ip_frame(mac: bytes, source: str, ports: tuple[int, int] = (1234, 5678)) -> bytes:
    payload = struct.pack("!HHHH", *ports, 16, 0) + b"hostler!"
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 7, 0, 64, 17, 0, socket.inet_aton(source),
                       socket.inet_aton("10.77.0.11"))
    total = sum(struct.unpack("!10H", head))
    total = (total & 0xFFFF) + (total >> 16)
    head = head[:10] + struct.pack("!H", ~total & 0xFFFF) + head[12:]
    return b"\xff" * 6 + mac + b"\x08\x00" + head + payload + bytes(24)


def arp_frame(mac: bytes, sender_mac: bytes, sender: str) -> bytes:
    return (b"\xff" * 6 + mac + b"\x08\x06" + struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + sender_mac
            + socket.inet_aton(sender) + bytes(6) + socket.inet_aton("10.77.0.11") + bytes(18))


def tagged(frame: bytes) -> bytes:
    return frame[:12] + b"\x81\x00\x00\x05" + frame[12:]


def heard(ear: socket.socket, frame: bytes) -> bool:
    # A tag may be taken off on the way; the rest of the frame tells it.
    return any(frame[-40:] in received + bytes(40) for received in hear_all(ear))


def hear_all(ear: socket.socket) -> list[bytes]:
    frames = []
    with contextlib.suppress(TimeoutError):
        while True:
            frames.append(ear.recv(2000))
    return frames


class World:
    """A namespace behind the host that accepts one connection and remembers from whom."""

    def __init__(self, listener: socket.socket) -> None:
        self.listener = listener

    def accepted_from(self) -> str:
        self.listener.settimeout(20)
        connection, address = self.listener.accept()
        connection.close()
        return str(address[0])


@contextlib.contextmanager
def outside_world(path: Path) -> Iterator[World]:
    namespaces.create(path)
    with path.open("rb") as handle, IPRoute() as ipr:
        ipr.link("add", ifname="out0", kind="veth", peer={"ifname": "eth0", "net_ns_fd": handle.fileno()})
        index = ipr.link_lookup(ifname="out0")[0]
        ipr.addr("add", index=index, address="198.51.100.1", prefixlen=24)
        ipr.link("set", index=index, state="up")

    def _open() -> socket.socket:
        with IPRoute() as ipr:
            inner = ipr.link_lookup(ifname="eth0")[0]
            ipr.addr("add", index=inner, address="198.51.100.2", prefixlen=24)
            ipr.link("set", index=inner, state="up")
        return socket.create_server(("198.51.100.2", 7))

    listener = namespaces.run_inside(path, _open)
    try:
        yield World(listener)
    finally:
        listener.close()
        with IPRoute() as ipr:
            ipr.link("del", index=index)
        namespaces.remove(path)
