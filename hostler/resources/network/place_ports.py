"""Writing ports with their addresses, hardware addresses and groups, for any number of ports at once.

When a concurrent allocator took an address (or, hardly ever, a MAC) first, the constraint fails. A savepoint around the
rows would cost every boot two round trips for that: instead the transaction is repeated as a whole, and chooses again.
"""

from __future__ import annotations

import dataclasses
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any, cast

import sqlalchemy as sa
from oslo_config import cfg
from sqlalchemy import exc, orm

from hostler import errors, ids
from hostler.db.models import FixedIp, Network, Port, PortSecurityGroup, Subnet
from hostler.db.outage import LostRace
from hostler.resources import revisions
from hostler.resources.network import autoconf, ipam

_ATTEMPTS = 8  # of addresses for a port that exists
# For this many ports and fewer, collisions of random MACs are left to the constraint; for more they are checked first.
_LOOK_FOR_MACS = 16
_ADDRESSES, _MEMBERSHIPS = (cast(sa.Table, model.__table__) for model in (FixedIp, PortSecurityGroup))


@dataclasses.dataclass(frozen=True)
class Draft:
    """A port to be written: one address is chosen for each of `requests`; `values` are further columns of the port."""

    network: Network
    project_id: str
    requests: tuple[ipam.AddressRequest, ...] = ()
    mac_address: str | None = None
    group_ids: tuple[str, ...] = ()
    values: dict[str, Any] = dataclasses.field(default_factory=dict)


def place(session: orm.Session, conf: cfg.ConfigOpts, drafts: Sequence[Draft]) -> list[Port]:
    """Write the drafted ports and return them in order; the caller has claimed their quota.

    Raises NotUnique for an address or MAC that is taken, NoAddress when a network has no room.
    """
    if not drafts:
        return []
    _refuse_taken_macs(session, drafts)
    macs = _macs(session, conf, drafts, look=len(drafts) > _LOOK_FOR_MACS)
    choices = ipam.choose(session, [_formed(request, mac) for draft, mac in zip(drafts, macs, strict=True)
                                    for request in draft.requests])
    try:
        return _write(session, drafts, choices, macs)
    except exc.IntegrityError as error:
        raise LostRace from error


def give_addresses(session: orm.Session, port: Port, requests: Sequence[ipam.AddressRequest]) -> list[FixedIp]:
    """Add one address for each request to a port that exists; raises as `place`."""
    return give_each(session, [(port, request) for request in requests])


def give_each(session: orm.Session, wanted: Sequence[tuple[Port, ipam.AddressRequest]]) -> list[FixedIp]:
    """Add one address for each request to the port with it, all or none; raises as `place`."""
    for attempt in range(_ATTEMPTS):
        choices = ipam.choose(session, [_formed(request, port.mac_address) for port, request in wanted],
                              current=attempt > 0)
        try:
            with session.begin_nested():
                rows = [FixedIp(port_id=port.id, subnet_id=choice.subnet_id, ip_address=choice.ip_address)
                        for (port, _), choice in zip(wanted, choices, strict=True)]
                session.add_all(rows)
                session.flush()
                return rows
        except exc.IntegrityError:
            if attempt == _ATTEMPTS - 1:
                raise
    raise AssertionError("unreachable")


def give_all(session: orm.Session, subnet: Subnet) -> list[str]:
    """Give every port of an automatic subnet's network its address there, except routers'; return the ports' ids."""
    ports = session.execute(sa.select(Port.id, Port.mac_address).where(
        Port.network_id == subnet.network_id, Port.device_owner.not_in(autoconf.ROUTERS)).order_by(Port.id)).all()
    session.add_all([FixedIp(port_id=port.id, subnet_id=subnet.id,
                             ip_address=autoconf.address_in(subnet.cidr, port.mac_address)) for port in ports])
    session.flush()
    return [port.id for port in ports]


def form_again(session: orm.Session, port: Port) -> bool:
    """Replace the addresses formed from a MAC address that the port had before; return whether it has such."""
    rows = session.execute(sa.select(FixedIp, Subnet).join(Subnet, Subnet.id == FixedIp.subnet_id)
                           .where(FixedIp.port_id == port.id, Subnet.ip_version == 6)).tuples().all()
    old = [] if port.device_owner in autoconf.ROUTERS else [
        (row, subnet) for row, subnet in rows if autoconf.is_automatic(subnet)]
    for row, subnet in old:
        row.ip_address = autoconf.address_in(subnet.cidr, port.mac_address)
    return bool(old)


def wanted(subnets: Sequence[Subnet]) -> tuple[ipam.AddressRequest, ...]:
    """Return the requests of a port that names no address.

    It gets one address of IPv4 and one of IPv6 from the subnets that give addresses out, and what it forms in each
    automatic subnet.
    """
    giving = [subnet for subnet in subnets if not autoconf.is_automatic(subnet)]
    families = [tuple(subnet for subnet in giving if subnet.ip_version == version) for version in (4, 6)]
    return (*(ipam.AddressRequest(family) for family in families if family), *formed(subnets))


def formed(subnets: Sequence[Subnet]) -> tuple[ipam.AddressRequest, ...]:
    """Return the requests that every port makes, whatever addresses it names: one for each automatic subnet."""
    return tuple(ipam.AddressRequest((subnet,)) for subnet in subnets if autoconf.is_automatic(subnet))


def _formed(request: ipam.AddressRequest, mac: str) -> ipam.AddressRequest:
    """Return the request with the address that `mac` forms, where the subnet is automatic."""
    subnet = request.subnets[0]
    if request.address is not None or not autoconf.is_automatic(subnet):
        return request
    return dataclasses.replace(request, address=autoconf.address_in(subnet.cidr, mac))


def _write(session: orm.Session, drafts: Sequence[Draft], choices: Sequence[ipam.Choice],
           macs: Sequence[str]) -> list[Port]:
    ports = [Port(id=ids.new_id(), network_id=draft.network.id, project_id=draft.project_id, mac_address=mac,
                  **draft.values) for draft, mac in zip(drafts, macs, strict=True)]
    session.add_all(ports)
    session.flush()
    remaining = iter(choices)
    addresses = [{"id": ids.new_id(), "port_id": port.id, "subnet_id": choice.subnet_id,
                  "ip_address": choice.ip_address}
                 for port, draft in zip(ports, drafts, strict=True)
                 for choice in [next(remaining) for _ in draft.requests]]
    # In one order, so that two allocators wait for each other rather than in a circle.
    addresses.sort(key=lambda row: (row["subnet_id"], row["ip_address"]))
    memberships = [{"port_id": port.id, "group_id": group_id}
                   for port, draft in zip(ports, drafts, strict=True) for group_id in draft.group_ids]
    joining: dict[tuple[str, ...], list[str]] = {}
    for port, draft in zip(ports, drafts, strict=True):
        joining.setdefault(draft.group_ids, []).append(port.id)
    # Counted before the ports are in their groups, which on MariaDB locks the group's row against the count.
    *others, (group_ids, port_ids) = joining.items()
    for other_ids, joined in others:
        revisions.members_changed(session, other_ids, joined)
    revisions.members_changed(session, group_ids, port_ids, rows={_ADDRESSES: addresses, _MEMBERSHIPS: memberships})
    return ports


def _macs(session: orm.Session, conf: cfg.ConfigOpts, drafts: Sequence[Draft], *, look: bool) -> list[str]:
    prefix = conf.network.mac_prefix.lower()
    used: set[str] = {draft.mac_address for draft in drafts if draft.mac_address}
    macs: list[str] = []
    for draft in drafts:
        mac = draft.mac_address or _random_mac(prefix, used)
        used.add(mac)
        macs.append(mac)
    if look:
        taken = _taken_macs(session, {draft.network.id for draft in drafts}, macs)
        macs = [mac if draft.mac_address or mac not in taken else _random_mac(prefix, used | taken)
                for draft, mac in zip(drafts, macs, strict=True)]
    return macs


def _random_mac(prefix: str, used: set[str]) -> str:
    while True:
        mac = f"{prefix}:{random.randrange(256):02x}:{random.randrange(256):02x}:{random.randrange(256):02x}"
        if mac not in used:
            return mac


def _taken_macs(session: orm.Session, network_ids: set[str], macs: Sequence[str]) -> set[str]:
    return set(session.scalars(sa.select(Port.mac_address).where(Port.network_id.in_(network_ids),
                                                                 Port.mac_address.in_(macs))))


def _refuse_taken_macs(session: orm.Session, drafts: Sequence[Draft]) -> None:
    named = Counter((draft.network.id, draft.mac_address) for draft in drafts if draft.mac_address)
    taken = {network_id: _taken_macs(session, {network_id}, [mac for other, mac in named if other == network_id])
             for network_id in {network_id for network_id, _ in named}}
    for (network_id, mac), times in named.items():
        if times > 1 or mac in taken[network_id]:
            raise errors.NotUnique(f"Unable to complete operation for network {network_id}. The mac address {mac} "
                                   "is in use.", resource="MAC address", id=mac)
