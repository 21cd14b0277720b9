"""Links, addresses and routes on a host, configured with pyroute2.

Each function compares with what is there and changes only the difference. `layout` describes one network's links;
nothing here knows ports' rules or DHCP.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import ipaddress
import logging
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from compute.metadata import METADATA_IP
from compute.network import faults, ipv6, names, namespaces, overlay, sysctl, vlans
from compute.network.overlay import Entry, Tables
from hostler import errors
from hostler.resources.server.specs import NetworkSpec, SubnetSpec

LOG = logging.getLogger(__name__)

_REMOVED_STRAYS = (names.VXLAN_PREFIX, names.VLAN_PREFIX, names.ROUTER_HOST_PREFIX)
_AF_INET = 2
_SCOPE_LINK = 253


@dataclasses.dataclass(frozen=True)
class Layout:
    """The links of one network on this host, by name.

    `uplink` is the bridge's port to other hosts, None where there is none: an interface of the host's, or a device of
    the network's own, a tunnel from `tunnel_ip` or a VLAN of the interface `parent`. Of what the filter drops, the
    kernel's log names `drop_log_rate` packets a second for each port and direction.
    """

    network: NetworkSpec
    namespace: Path
    uplink: str | None
    parent: str | None = None
    tunnel_ip: str | None = None
    host: str = ""
    drop_log_rate: int = 0

    @property
    def bridge(self) -> str:
        """The network's bridge."""
        return names.bridge_name(self.network.id)

    @property
    def veth(self) -> str:
        """The bridge's end of the pair into the namespace."""
        return names.veth_host_name(self.network.id)

    @property
    def inner(self) -> str:
        """The namespace's end."""
        return names.veth_inner_name(self.network.id)


def ipv4_subnets(network: NetworkSpec) -> list[SubnetSpec]:
    """Return the subnets this plumbing serves."""
    return [subnet for subnet in network.subnets if subnet.ip_version == 4]


@contextlib.contextmanager
def netlink() -> Iterator[Any]:
    """Yield a netlink socket of the calling thread's namespace; the kernel's refusals become `AgentError`."""
    try:
        with IPRoute() as ipr:
            yield ipr
    except NetlinkError as failure:
        raise faults.fault(f"the kernel refused a network change: {failure}") from failure


def make_network(layout: Layout) -> None:
    """Create or correct bridge, namespace, veth pair, uplink membership and addresses of one network.

    Raises `AgentError` when the uplink is missing or in another bridge, or a gateway's subnet is the host's already.
    """
    with netlink() as ipr:
        bridge = _make_bridge(ipr, layout)
        _make_uplink(ipr, layout, bridge)
        _make_gateway(ipr, layout, bridge)
        namespaces.create(layout.namespace)
        _make_veth(ipr, layout, bridge)
    namespaces.run_inside(layout.namespace, lambda: _make_inside(layout))


def empty_bridge(layout: Layout) -> None:
    """Take everything out of a network's bridge, which is about to go: nothing in it reaches anything any more."""
    with netlink() as ipr:
        bridge = find(ipr, layout.bridge)
        if bridge is not None:
            for member in ipr.get_links(master=bridge["index"]):
                ipr.link("set", index=member["index"], master=0)


def remove_links(layout: Layout) -> None:
    """Remove what `make_network` made, once the bridge is empty; fine when it is gone. The uplink itself stays."""
    with netlink() as ipr:
        own = (names.vxlan_name(layout.network.id), names.vlan_name(layout.network.id))
        for name in (layout.veth, layout.bridge, *own):
            link = find(ipr, name)
            if link is not None:
                ipr.link("del", index=link["index"])
    namespaces.remove(layout.namespace)


def activate_tap(tap: str, layout: Layout) -> None:
    """Put an existing tap device into its bridge with the network's MTU; raises `AgentError` when it is missing."""
    with netlink() as ipr:
        link, bridge = find(ipr, tap), find(ipr, layout.bridge)
        if link is None or bridge is None:
            raise faults.fault(f"the server's network device {tap} is missing")
        change(ipr, link, mtu=layout.network.mtu, master=bridge["index"], state="up")


def detach_tap(tap: str) -> None:
    """Take a tap device out of its bridge and down, for a guest that still holds it; fine when it is gone.

    Without filters, which go with the port, it must not stay connected.
    """
    with netlink() as ipr:
        link = find(ipr, tap)
        if link is not None:
            ipr.link("set", index=link["index"], master=0, state="down")


def find(ipr: Any, name: str) -> Any | None:
    """Return the link's message, or None."""
    try:
        return ipr.link("get", ifname=name)[0]
    except NetlinkError as failure:
        if failure.code != errno.ENODEV:
            raise
        return None


def change(ipr: Any, link: Any, *, mtu: int, state: str, master: int | None = None) -> None:
    """Set what differs on one link."""
    wanted: dict[str, Any] = {}
    if link.get_attr("IFLA_MTU") != mtu:
        wanted["mtu"] = mtu
    if (link["flags"] & 1 == 1) != (state == "up"):
        wanted["state"] = state
    if master is not None and link.get_attr("IFLA_MASTER") != master:
        wanted["master"] = master
    if wanted:
        ipr.link("set", index=link["index"], **wanted)


def _make_bridge(ipr: Any, layout: Layout) -> int:
    link = find(ipr, layout.bridge)
    if link is None:
        # No multicast snooping: without a querier it cuts multicast off. Bridged frames of this bridge alone visit
        # the IP hooks, where connection tracking is; other bridges of the host stay as they are.
        ipr.link("add", ifname=layout.bridge, kind="bridge", address=names.bridge_mac(layout.network.id),
                 mtu=layout.network.mtu, br_stp_state=0, br_forward_delay=0, br_mcast_snooping=0,
                 br_nf_call_iptables=1, br_nf_call_ip6tables=1, br_nf_call_arptables=0)
        link = find(ipr, layout.bridge)
        if link is None:
            raise faults.fault(f"the bridge {layout.bridge} vanished while it was made")
    elif not link.get_nested("IFLA_LINKINFO", "IFLA_INFO_DATA", "IFLA_BR_NF_CALL_IP6TABLES"):
        # Made by a release whose guests had no IPv6.
        ipr.link("set", index=link["index"], kind="bridge", br_nf_call_ip6tables=1)
    if ipv6.answered_by_bridge(layout.network):
        sysctl.enable_silent_ipv6(layout.bridge)
    else:
        sysctl.disable_ipv6(layout.bridge)
    # It answers for its own address alone: where the host's other interfaces are on the uplink's segment, hosts would
    # take this bridge, whose MAC address all of them share, for one another.
    sysctl.write(f"ipv4/conf/{layout.bridge}/arp_ignore", "1")
    change(ipr, link, mtu=layout.network.mtu, state="up")
    return int(link["index"])


def _make_uplink(ipr: Any, layout: Layout, bridge: int) -> None:
    if layout.uplink is None:
        return
    if layout.tunnel_ip is not None:
        link = overlay.make_device(ipr, layout.uplink, int(layout.network.segmentation_id or 0), layout.tunnel_ip,
                                   layout.network.mtu)
        change(ipr, link, mtu=layout.network.mtu, master=bridge, state="up")
        overlay.close_device(ipr, link["index"])
        sysctl.disable_ipv6(layout.uplink)
        return
    link = _interface(ipr, layout, layout.parent or layout.uplink)
    if layout.parent is not None:
        change(ipr, link, mtu=max(link.get_attr("IFLA_MTU"), layout.network.mtu), state="up")
        link = vlans.make_device(ipr, layout.uplink, int(layout.network.segmentation_id or 0), link)
        change(ipr, link, mtu=layout.network.mtu, master=bridge, state="up")
        sysctl.disable_ipv6(layout.uplink)
        return
    if link.get_attr("IFLA_MASTER") not in (None, bridge):
        raise faults.fault(f"the host's interface {layout.uplink} belongs to another bridge")
    change(ipr, link, mtu=max(link.get_attr("IFLA_MTU"), layout.network.mtu), master=bridge, state="up")


def _interface(ipr: Any, layout: Layout, name: str) -> Any:
    link = find(ipr, name)
    if link is None:
        raise faults.fault(f"the host has no interface {name} for physical network {layout.network.physical_network}")
    return link


def program(layout: Layout, wanted: Iterable[Entry], written: Tables | None) -> Tables:
    """Fill the tables of a VXLAN network (`overlay.program`); raises `AgentError` when its device is not there."""
    with netlink() as ipr:
        device, bridge = find(ipr, str(layout.uplink)), find(ipr, layout.bridge)
        if device is None or bridge is None:
            raise faults.fault(f"the tunnel device {layout.uplink} is missing")
        return overlay.program(ipr, device["index"], bridge["index"], wanted, written)


def kinds() -> tuple[str, ...]:
    """Return the kinds of networks that this host's kernel can carry."""
    return ("flat", *(kind for kind, probe in (("vxlan", overlay.probe), ("vlan", vlans.probe)) if _works(probe)))


def _works(probe: Callable[[Any], None]) -> bool:
    def _try() -> bool:
        with IPRoute() as ipr:
            try:
                probe(ipr)
            except NetlinkError as failure:
                LOG.info("This host's kernel cannot make %s devices: %s", probe.__module__, failure)
                return False
        return True

    try:
        return namespaces.try_in_fresh(_try)
    except errors.AgentError as failure:
        LOG.error("Whether this host's kernel can make %s devices is unknown: %s", probe.__module__, failure.details)
        return False


def present() -> set[str]:
    """Return the names of all links."""
    with netlink() as ipr:
        return {str(link.get_attr("IFLA_IFNAME")) for link in ipr.get_links()}


def remove_strays(network_ids: Collection[str], router_port_ids: Collection[str]) -> None:
    """Remove the tunnel and VLAN devices of other networks than these, and the links of other router ports."""
    wanted = {*(name(network_id) for network_id in network_ids for name in (names.vxlan_name, names.vlan_name)),
              *map(names.router_host_name, router_port_ids)}
    with netlink() as ipr:
        for link in ipr.get_links():
            name = str(link.get_attr("IFLA_IFNAME"))
            if name.startswith(_REMOVED_STRAYS) and name not in wanted:
                LOG.warning("The device %s belongs to no network or router on this host; removing it", name)
                try:
                    ipr.link("del", index=link["index"])
                except NetlinkError as failure:
                    LOG.error("The device %s cannot be removed: %s", name, failure)


def remove(name: str) -> None:
    """Remove a link; fine when it is gone."""
    with netlink() as ipr:
        link = find(ipr, name)
        if link is not None:
            ipr.link("del", index=link["index"])


def _make_gateway(ipr: Any, layout: Layout, bridge: int) -> None:
    wanted = {}
    if layout.network.host_gateway:
        for subnet in ipv4_subnets(layout.network):
            if subnet.gateway_ip is not None:
                wanted[subnet.gateway_ip] = ipaddress.ip_network(subnet.cidr).prefixlen
        _refuse_overlap(ipr, layout.network, bridge)
        sysctl.write("ipv4/ip_forward", "1")
    make_addresses(ipr, bridge, wanted)


def _refuse_overlap(ipr: Any, network: NetworkSpec, bridge: int) -> None:
    subnets = [ipaddress.ip_network(subnet.cidr) for subnet in ipv4_subnets(network)]
    for message in ipr.get_addr(family=_AF_INET):
        if message["index"] == bridge:
            continue
        there = ipaddress.ip_network(f"{message.get_attr('IFA_ADDRESS')}/{message['prefixlen']}", strict=False)
        for subnet in subnets:
            if subnet.overlaps(there):
                raise faults.fault(f"subnet {subnet} overlaps {there}, which this host is part of")


def make_addresses(ipr: Any, index: int, wanted: dict[str, int]) -> list[str]:
    """Give a link exactly the IPv4 addresses `wanted` (address to prefix length); return those it did not have."""
    present = {}
    for message in ipr.get_addr(family=_AF_INET, index=index):
        present[message.get_attr("IFA_ADDRESS")] = message["prefixlen"]
    for address, prefixlen in present.items():
        if wanted.get(address) != prefixlen:
            ipr.addr("del", index=index, address=address, prefixlen=prefixlen)
    for address, prefixlen in wanted.items():
        if present.get(address) != prefixlen:
            ipr.addr("add", index=index, address=address, prefixlen=prefixlen)
    return [address for address in wanted if address not in present]


def _make_veth(ipr: Any, layout: Layout, bridge: int) -> None:
    link = find(ipr, layout.veth)
    if link is not None and not namespaces.run_inside(layout.namespace, lambda: has(layout.inner)):
        # Its other end is in a namespace that is lost to us (the file that kept it was removed).
        ipr.link("del", index=link["index"])
        link = None
    if link is None:
        with layout.namespace.open("rb") as handle:
            ipr.link("add", ifname=layout.veth, kind="veth", mtu=layout.network.mtu,
                     peer={"ifname": layout.inner, "net_ns_fd": handle.fileno(), "mtu": layout.network.mtu,
                           "address": names.service_mac(layout.network.id)})
        link = find(ipr, layout.veth)
        if link is None:
            raise faults.fault(f"the link {layout.veth} vanished while it was made")
        sysctl.disable_ipv6(layout.veth)
    change(ipr, link, mtu=layout.network.mtu, master=bridge, state="up")


def has(name: str) -> bool:
    with netlink() as ipr:
        return bool(ipr.link_lookup(ifname=name))


def _make_inside(layout: Layout) -> None:
    """Run in the namespace: addresses of DHCP and metadata, and a way back to guests of subnets without DHCP."""
    # A new namespace inherits IPv4 settings from the host, which may forward; this one must never be a router.
    sysctl.write("ipv4/ip_forward", "0")
    with netlink() as ipr:
        loopback, inner = find(ipr, "lo"), find(ipr, layout.inner)
        if loopback is None or inner is None:
            raise faults.fault(f"the link {layout.inner} vanished while it was made")
        change(ipr, loopback, mtu=loopback.get_attr("IFLA_MTU"), state="up")
        ipv6.silence(layout.inner, inner)
        change(ipr, inner, mtu=layout.network.mtu, state="up")
        wanted = {METADATA_IP: 32}
        bare = []
        for subnet in ipv4_subnets(layout.network):
            if subnet.dhcp_ip is not None:
                wanted[subnet.dhcp_ip] = ipaddress.ip_network(subnet.cidr).prefixlen
            else:
                bare.append(subnet.cidr)
        make_addresses(ipr, inner["index"], wanted)
        ipv6.make_addresses(ipr, layout.inner, inner["index"], ipv6.service_addresses(layout.network), forwarding=False)
        for cidr in bare:
            ipr.route("replace", dst=cidr, oif=inner["index"], scope=_SCOPE_LINK, prefsrc=METADATA_IP)
