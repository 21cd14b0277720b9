"""Two hosts on a real kernel: network namespaces joined by a wire, each with its own plumbing.

Another wire between them is the physical network `physnet1`.

What a conductor would send them is sent by the test.
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from compute.network import names, namespaces
from hostler.resources.network import kinds
from hostler.resources.server.specs import NetworkSpec, RuleSpec
from tests.harness.network_lab import ALLOW_OUT, ALLOW_PING, Cloud, Guest, link_names, make_network
from tests.harness.outside import Outside

Result = TypeVar("Result")
ALLOW_TCP = RuleSpec(direction="ingress", ethertype="IPv4", protocol="tcp")


class HostOfTwo:
    """A host: its namespace (None is the test's), its tunnel address, its plumbing."""

    def __init__(self, directory: Path, namespace: Path | None, tunnel_ip: str) -> None:
        self.namespace, self.tunnel_ip = namespace, tunnel_ip
        self.cloud = self.on(lambda: Cloud(directory, host=tunnel_ip, compute__tunnel_ip=tunnel_ip,
                                           network__bridge_mappings={"physnet1": "ext0"}))

    def on(self, work: Callable[[], Result]) -> Result:
        return work() if self.namespace is None else namespaces.run_inside(self.namespace, work)

    def boot(self, number: int, net: NetworkSpec, *rules: RuleSpec) -> Guest:
        guest = self.on(lambda: self.cloud.boot(number, net, *(rules or (ALLOW_OUT, ALLOW_PING, ALLOW_TCP))))
        guest.run(f"busybox ip addr add {guest.address}/24 dev eth0")
        return guest

    def tell(self, net: NetworkSpec, *places: str) -> None:
        self.on(lambda: self.cloud.plumbing.update_groups({kinds.key(net.id): places}))

    def fdb(self, net: NetworkSpec) -> set[str]:
        """Return the lines of the tunnel device but its own."""
        name = names.vxlan_name(net.id)
        shown = self.on(lambda: subprocess.run(["bridge", "fdb", "show", "dev", name], capture_output=True, text=True,
                                               check=True).stdout)
        return {line.strip() for line in shown.splitlines() if "master" not in line or "static" in line}

    def links(self) -> list[str]:
        return self.on(link_names)

    def tear_down(self) -> None:
        self.on(self.cloud.tear_down)


@contextlib.contextmanager
def two_hosts(tmp_path: Path) -> Iterator[tuple[HostOfTwo, HostOfTwo]]:
    """Make the test's namespace one host, and another namespace the other."""
    other = tmp_path / "other"
    namespaces.create(other)

    def address(name: str, text: str) -> None:
        with IPRoute() as ipr:
            index = ipr.link_lookup(ifname=name)[0]
            ipr.addr("add", index=index, address=text, prefixlen=24)
            ipr.link("set", index=index, state="up")

    def unwire() -> None:
        # Not left to the other namespace's end, which comes when its last process is gone.
        with IPRoute() as ipr, contextlib.suppress(NetlinkError):
            for name in ("wire0", "ext0"):
                for index in ipr.link_lookup(ifname=name):
                    ipr.link("del", index=index)

    with contextlib.ExitStack() as stack:
        stack.callback(namespaces.remove, other)
        stack.callback(unwire)
        with other.open("rb") as handle, IPRoute() as ipr:
            for name in ("wire0", "ext0"):
                ipr.link("add", ifname=name, kind="veth", peer={"ifname": name, "net_ns_fd": handle.fileno()})
        address("wire0", "192.0.2.1")
        namespaces.run_inside(other, lambda: address("wire0", "192.0.2.2"))
        made = []
        for directory, namespace, tunnel_ip in (("a", None, "192.0.2.1"), ("b", other, "192.0.2.2")):
            made.append(HostOfTwo(tmp_path / directory, namespace, tunnel_ip))
            stack.callback(made[-1].tear_down)
        yield made[0], made[1]


class Segment(Outside):
    """A machine that is at the same time the switch of the hosts' physical network, which neither host carries for the
    other."""

    def __init__(self, path: Path, hosts: tuple[HostOfTwo, HostOfTwo]) -> None:
        self.path = path
        namespaces.create(path)

        def wire(host: HostOfTwo, number: int) -> None:
            with path.open("rb") as handle, IPRoute() as ipr:
                for index in ipr.link_lookup(ifname="ext0"):
                    ipr.link("del", index=index)
                ipr.link("add", ifname="ext0", kind="veth", peer={"ifname": f"at{number}",
                                                                  "net_ns_fd": handle.fileno()})

        for number, host in enumerate(hosts):
            host.on(lambda host=host, number=number: wire(host, number))
        self.run("ip link add eth0 type bridge; for at in at0 at1; do ip link set $at master eth0 up; done; "
                 "ip link set lo up; ip link set eth0 up; ip addr add 203.0.113.1/24 dev eth0")

    def close(self) -> None:
        namespaces.remove(self.path)


def overlay(number: int) -> NetworkSpec:
    return make_network(network_type=kinds.VXLAN, segmentation_id=number, mtu=1450)


def place(guest: Guest, host: HostOfTwo) -> str:
    return f"{guest.port.mac_address} {guest.address} {host.tunnel_ip}"
