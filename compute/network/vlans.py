"""VLAN interfaces (802.1Q) of a host's interfaces: one a VLAN network, a port of its bridge."""

from __future__ import annotations

import errno
from typing import Any

from pyroute2.netlink.exceptions import NetlinkError

from compute.network import faults


def make_device(ipr: Any, name: str, tag: int, parent: Any) -> Any:
    """Return the link of the VLAN `tag` of the interface `parent`, made when it is not there.

    Raises `AgentError` when the kernel knows no VLANs, or somebody else uses the tag.
    """
    found = ipr.link_lookup(ifname=name)
    if not found:
        try:
            ipr.link("add", ifname=name, kind="vlan", link=parent["index"], vlan_id=tag)
        except NetlinkError as failure:
            interface = parent.get_attr("IFLA_IFNAME")
            if failure.code == errno.EOPNOTSUPP:
                raise faults.fault("this host's kernel cannot tag frames (module 8021q)") from failure
            if failure.code == errno.EEXIST:
                raise faults.fault(f"VLAN {tag} of the host's interface {interface} is in use") from failure
            raise
        found = ipr.link_lookup(ifname=name)
    if not found:
        raise faults.fault(f"the VLAN interface {name} vanished while it was made")
    return ipr.get_links(found[0])[0]


def probe(ipr: Any) -> None:
    """Make a VLAN in an empty network namespace; raises NetlinkError when the kernel cannot."""
    ipr.link("add", ifname="parent", kind="bridge")
    ipr.link("add", ifname="probe", kind="vlan", link=ipr.link_lookup(ifname="parent")[0], vlan_id=2)
