"""What networks are made of: their kind, and the segment that each has for itself.

    flat    untagged on a physical network, or on no physical network at all: then each host has its own
    vlan    a physical network and a tag on it
    vxlan   a number (VNI) that its frames carry in tunnels between the hosts

`networks.segment` names all of it in one word with a unique constraint, so that two requests at the same time cannot
get the same number. The lowest free number of the configured ranges is taken, and a request that loses it to another
takes the next: there is no counter that could drift, and a deleted network's number is free again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from oslo_config import cfg
from sqlalchemy import exc, orm

from hostler import errors
from hostler.db.models import Network
from hostler.resources.network.kinds import FLAT, VLAN, VXLAN

# Outer Ethernet, IPv4, UDP and VXLAN headers.
IPV6_LEAST_MTU: Final = 1280
VXLAN_OVERHEAD: Final = 50
LAST_ID: Final = {VLAN: 4094, VXLAN: 16777215}
# More than requests at the same time.
_ATTEMPTS: Final = 256

Range = tuple[int, int]


def kind_of(conf: cfg.ConfigOpts, values: Mapping[str, Any]) -> str:
    """Return the kind of a new network: what the request names, flat for a physical or external one, else the
    configured kind of tenants' networks. Raises NotImplementedHere."""
    kind = values.get("network_type")
    if kind is None:
        named = values.get("physical_network") is not None or values.get("external")
        return FLAT if named else str(conf.network.tenant_network_type)
    if kind not in (FLAT, VLAN, VXLAN):
        raise errors.NotImplementedHere(feature=f"provider:network_type {kind}")
    return str(kind)


def place(session: orm.Session, conf: cfg.ConfigOpts, network: Network) -> None:
    """Write a new network, of which `network_type` is set, with a segment: the one it names, or a free one.

    Raises InvalidField, InUse for a segment that is taken, Conflict when the ranges are used up.
    """
    _check(conf, network)
    named = network.segmentation_id is not None or network.network_type == FLAT
    lost: set[int] = set()
    while True:
        if not named:
            network.physical_network, network.segmentation_id = _free(session, conf, network, lost)
        network.segment = segment_of(network)
        if named and _is_taken(session, network):
            raise _in_use(network)
        try:
            with session.begin_nested():
                session.add(network)
                session.flush()
            return
        except exc.IntegrityError as error:
            if named:
                raise _in_use(network) from error
            if len(lost) == _ATTEMPTS:
                raise
            # A concurrent request took it; MariaDB does not show its network to this transaction.
            lost.add(int(network.segmentation_id or 0))


def replace(session: orm.Session, network: Network, values: Mapping[str, Any]) -> None:
    """Check what a change makes of the segment, and write the new one. Only a flat network may change its physical
    network: other segments are in the devices of every host that carries them. Raises InvalidField, InUse."""
    for column in ("network_type", "segmentation_id", "physical_network"):
        fixed = column != "physical_network" or network.network_type != FLAT
        if column in values and fixed and values[column] != getattr(network, column):
            raise errors.InvalidField(field=f"provider:{column}", value=values[column],
                                      reason="The segment of a network cannot be changed.")
    if "physical_network" in values and values["physical_network"] != network.physical_network:
        changed = Network(id=network.id, network_type=FLAT, physical_network=values["physical_network"])
        if _is_taken(session, changed):
            raise _in_use(changed)
        network.segment = segment_of(changed)


def max_mtu(conf: cfg.ConfigOpts, kind: str) -> int:
    """Return the largest frame that a network of this kind carries without being cut."""
    return int(conf.network.mtu) - (VXLAN_OVERHEAD if kind == VXLAN else 0)


def check_mtu(conf: cfg.ConfigOpts, kind: str, mtu: int) -> None:
    """Raise InvalidField for an MTU that does not fit into the tunnels. What other wires carry, only operators know."""
    if kind == VXLAN and mtu > max_mtu(conf, kind):
        raise errors.InvalidField(field="mtu", value=mtu,
                                  reason=f"Requested MTU is too big, maximum is {max_mtu(conf, kind)}.")


def check_least_mtu(network_id: str, mtu: int, ip_versions: Collection[int]) -> None:
    """Raise Conflict for an MTU below the one that IPv6 needs (RFC 8200, 5), where there is a subnet of it."""
    if 6 in ip_versions and mtu < IPV6_LEAST_MTU:
        raise errors.Conflict(f"MTU of {network_id} is not valid, subnet requires a minimum of {IPV6_LEAST_MTU}",
                              reason="MTU below a subnet's")


def segment_of(network: Network) -> str | None:
    """Return the word for the segment; None for a flat network without a physical one."""
    if network.network_type == FLAT:
        return f"{FLAT}/{network.physical_network}" if network.physical_network else None
    return "/".join([network.network_type, network.physical_network or "", str(network.segmentation_id)])


def _check(conf: cfg.ConfigOpts, network: Network) -> None:
    kind, physical, number = network.network_type, network.physical_network, network.segmentation_id
    if kind == FLAT:
        if number is not None:
            raise errors.InvalidField(field="provider:segmentation_id", value=number, reason="A flat network has none.")
        return
    if number is not None and not 1 <= number <= LAST_ID[kind]:
        raise errors.InvalidField(field="provider:segmentation_id", value=number,
                                  reason=f"It is not from 1 through {LAST_ID[kind]}.")
    if kind == VXLAN and physical is not None:
        raise errors.InvalidField(field="provider:physical_network", value=physical,
                                  reason="A vxlan network has none.")
    if kind == VLAN and physical is None and number is not None:
        raise errors.InvalidField(field="provider:segmentation_id", value=number,
                                  reason="It needs a provider:physical_network.")
    if kind == VLAN and physical is not None and number is None and physical not in _vlan_ranges(conf):
        raise errors.InvalidField(field="provider:physical_network", value=physical,
                                  reason="No VLANs are configured for it; name a provider:segmentation_id.")


def _free(session: orm.Session, conf: cfg.ConfigOpts, network: Network, lost: set[int]) -> tuple[str | None, int]:
    """Return a physical network (of VLANs) and the lowest number that is free there."""
    if network.network_type == VXLAN:
        pools: dict[str | None, list[Range]] = {None: [_range(text) for text in conf.network.vni_ranges]}
    else:
        pools = {name: ranges for name, ranges in _vlan_ranges(conf).items()
                 if network.physical_network in (None, name)}
    taken: dict[str | None, set[int]] = {name: set() for name in pools}
    for name, number in session.execute(sa.select(Network.physical_network, Network.segmentation_id).where(
            Network.network_type == network.network_type)).tuples():
        if number is not None:
            taken.setdefault(name, set()).add(number)
    for name, ranges in pools.items():
        # A number lost in one pool is passed over in the others, too: it comes round with the next network.
        number = _lowest(ranges, taken[name] | lost)
        if number is not None:
            return name, number
    raise _used_up(network.network_type, pools, taken)


def _lowest(ranges: Sequence[Range], taken: set[int]) -> int | None:
    return next((number for low, high in ranges for number in range(low, high + 1) if number not in taken), None)


def _used_up(kind: str, pools: Mapping[str | None, Sequence[Range]],
             taken: Mapping[str | None, set[int]]) -> errors.Conflict:
    size = sum(high - low + 1 for ranges in pools.values() for low, high in ranges)
    used = sum(low <= number <= high for name, ranges in pools.items() for low, high in ranges
               for number in taken[name])
    return errors.Conflict("Unable to create the network. No tenant network is available for allocation: "
                           f"{used} of {size} {kind} segments are in use.", reason="no segment")


def _is_taken(session: orm.Session, network: Network) -> bool:
    segment = segment_of(network)
    same = sa.and_(Network.network_type == network.network_type,
                   Network.physical_network == network.physical_network,
                   Network.segmentation_id == network.segmentation_id)
    if network.network_type == FLAT:
        # Written by an earlier release, which had no word for the segment.
        same = sa.and_(Network.network_type == FLAT, Network.physical_network == network.physical_network)
    return segment is not None and session.scalars(sa.select(Network.id).where(
        sa.or_(Network.segment == segment, same), Network.id != (network.id or "")).limit(1)).first() is not None


def _in_use(network: Network) -> errors.InUse:
    kind, physical, number = network.network_type, network.physical_network, network.segmentation_id
    what = {FLAT: f"Unable to create the flat network. Physical network {physical} is in use.",
            VLAN: f"Unable to create the network. The VLAN {number} on physical network {physical} is in use.",
            VXLAN: f"Unable to create the network. The tunnel ID {number} is in use."}[kind]
    return errors.InUse(what, resource=f"{kind} network", id=str(physical if kind == FLAT else number), reason="taken")


def _vlan_ranges(conf: cfg.ConfigOpts) -> dict[str | None, list[Range]]:
    found: dict[str | None, list[Range]] = {}
    for text in conf.network.vlan_ranges:
        name, _, numbers = text.partition(":")
        found.setdefault(name, []).append(_range(numbers))
    return found


def _range(text: str) -> Range:
    low, _, high = text.partition(":")
    return int(low), int(high or low)
