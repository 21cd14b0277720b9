"""VXLAN networks on a host: what is in the tunnel device's tables, written from the records.

A network's device is a port of its bridge. Nothing is learned from the wire:

    device       MAC → tunnel address of the host that has the port; a frame to any other MAC is dropped
                 all hosts that have ports of the network → a copy of each broadcast and multicast frame
    bridge       MAC → the device, so that the bridge sends there what is addressed to ports elsewhere, and no more
    neighbours   address → MAC, with which the bridge answers ARP requests and neighbour solicitations
                 instead of sending them through the tunnels

`program` keeps what it wrote and changes the difference; an agent that has just started reads it from the kernel first,
so that traffic of running guests goes on.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import socket
from collections.abc import Iterable, Iterator
from typing import Any

from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.rtnl import ndmsg

from compute.network import faults, names
from hostler.resources.network import autoconf

EVERYBODY = "00:00:00:00:00:00"
_PORT = 4789
_AF_BRIDGE = 7
_SELF, _MASTER = ndmsg.flags["self"], ndmsg.flags["master"]
_STATIC, _PERMANENT = ndmsg.states["noarp"], ndmsg.states["permanent"]


@dataclasses.dataclass(frozen=True, order=True)
class Entry:
    """One line of a table: `device` (MAC, host), `bridge` (MAC, "") or `neighbours` (address, MAC)."""

    table: str
    key: str
    value: str = ""


def entries(members: Iterable[str], tunnel_ip: str, *, ipv6: bool = False) -> frozenset[Entry]:
    """Return what the tables of a host at `tunnel_ip` hold, from members as messages bring them
    (`hostler.resources.network.peers`): IPv6 neighbours only with `ipv6`.
    """
    found: set[Entry] = set()
    known: set[str] = set()
    for mac, address, host in sorted(tuple(member.split(" ")[:3]) for member in members):
        if ":" in address and ipv6:
            found |= {Entry("neighbours", own, mac) for own in (address, autoconf.link_local(mac))}
        elif address != "-" and ":" not in address:
            found.add(Entry("neighbours", address, mac))
        if host == tunnel_ip:
            continue
        found.add(Entry("device", EVERYBODY, host))
        if mac not in known:
            known.add(mac)
            found |= {Entry("device", mac, host), Entry("bridge", mac)}
    return frozenset(found)


def ways(macs: Iterable[tuple[str, str]]) -> frozenset[Entry]:
    """Return the lines for MACs that no port has, each with the tunnel address of its host."""
    return frozenset(entry for mac, host in macs for entry in (Entry("device", mac, host), Entry("bridge", mac)))


def make_device(ipr: Any, name: str, number: int, tunnel_ip: str, mtu: int) -> Any:
    """Return the link of a network's tunnel device, made when it is not there or another's.

    The device that has its number already, left by a network that is gone, is removed first.
    """
    for link in ipr.get_links():
        if not str(link.get_attr("IFLA_IFNAME")).startswith(names.VXLAN_PREFIX):
            continue
        same = link.get_attr("IFLA_IFNAME") == name
        fits = (_number(link), _local(link)) == (number, tunnel_ip)
        if same and fits:
            return link
        if same or _number(link) == number:
            ipr.link("del", index=link["index"])
    ipr.link("add", ifname=name, kind="vxlan", mtu=mtu, vxlan_id=number, vxlan_local=tunnel_ip, vxlan_port=_PORT,
             vxlan_learning=0)
    found = ipr.link_lookup(ifname=name)
    if not found:
        raise faults.fault(f"the tunnel device {name} vanished while it was made")
    return ipr.get_links(found[0])[0]


def probe(ipr: Any) -> None:
    """Make a tunnel device in an empty network namespace; raises NetlinkError when the kernel cannot."""
    ipr.link("add", ifname="probe", kind="vxlan", vxlan_id=1, vxlan_port=_PORT)


def close_device(ipr: Any, index: int) -> None:
    """Have the bridge send nothing to the device, now its port, but what its table says, and broadcasts."""
    ipr.brport("set", index=index, unicast_flood=0, learning=0, neigh_suppress=1)


@dataclasses.dataclass(frozen=True)
class Tables:
    """What is in the tables of a device and a bridge, by their indexes."""

    device: int
    bridge: int
    entries: frozenset[Entry]


def program(ipr: Any, device: int, bridge: int, wanted: Iterable[Entry], written: Tables | None) -> Tables:
    """Make the tables hold exactly `wanted`, and return that; `written` is what this agent last wrote, if it has."""
    target = frozenset(wanted)
    if written is not None and (written.device, written.bridge) == (device, bridge):
        before = written.entries
    else:
        before = frozenset(read(ipr, device, bridge))
    # Removals first: a MAC that moved has one line at a time.
    for entry in sorted(before - target):
        with _fine(errno.ENOENT, errno.ENXIO, errno.ESRCH):
            _change(ipr, "del", device, bridge, entry)
    for entry in sorted(target - before):
        with _fine(errno.EEXIST):
            _change(ipr, "add", device, bridge, entry)
    return Tables(device, bridge, target)


def _change(ipr: Any, verb: str, device: int, bridge: int, entry: Entry) -> None:
    if entry.table == "neighbours":
        ipr.neigh("replace" if verb == "add" else verb, ifindex=bridge, dst=entry.key, lladdr=entry.value,
                  state=_PERMANENT)
    elif entry.table == "device":
        # "append": there are several lines for everybody.
        ipr.fdb("append" if verb == "add" else verb, ifindex=device, lladdr=entry.key, dst=entry.value,
                flags=_SELF, state=_STATIC | _PERMANENT)
    elif verb == "add":
        # Replaces what the bridge learned when the guest was on this host.
        ipr.neigh("replace", family=_AF_BRIDGE, ifindex=device, lladdr=entry.key, flags=_MASTER, state=_STATIC)
    else:
        ipr.fdb("del", ifindex=device, lladdr=entry.key, flags=_MASTER, state=_STATIC)


def read(ipr: Any, device: int, bridge: int) -> Iterator[Entry]:
    """Yield the lines that are there."""
    for line in ipr.fdb("dump"):
        if line["ifindex"] != device:
            continue
        mac, host = line.get_attr("NDA_LLADDR"), line.get_attr("NDA_DST")
        if line["flags"] & _SELF and host is not None:
            yield Entry("device", mac, host)
        elif line.get_attr("NDA_MASTER") == bridge and line["state"] == _STATIC:
            yield Entry("bridge", mac)
    for family in (socket.AF_INET, socket.AF_INET6):
        for line in ipr.get_neighbours(family=family, ifindex=bridge):
            if line["ifindex"] == bridge and line["state"] == _PERMANENT:
                yield Entry("neighbours", line.get_attr("NDA_DST"), line.get_attr("NDA_LLADDR"))


@contextlib.contextmanager
def _fine(*codes: int) -> Iterator[None]:
    """Let pass what is as it should be already."""
    try:
        yield
    except NetlinkError as failure:
        if failure.code not in codes:
            raise


def _number(link: Any) -> int | None:
    found = _data(link, "IFLA_VXLAN_ID")
    return None if found is None else int(found)


def _local(link: Any) -> str | None:
    found = _data(link, "IFLA_VXLAN_LOCAL")
    return None if found is None else str(found)


def _data(link: Any, name: str) -> Any:
    info = link.get_attr("IFLA_LINKINFO")
    data = info.get_attr("IFLA_INFO_DATA") if info is not None else None
    return data.get_attr(name) if data is not None else None
