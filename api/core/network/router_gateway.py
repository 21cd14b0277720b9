"""A router's external gateway: a port with addresses on an external network."""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import orm

from api.core.network import port_rules
from api.core.network.scope import Caller, find
from hostler import errors
from hostler.db.models import FixedIp, FloatingIp, Network, Port, Router, RouterPort, Subnet
from hostler.resources.network import autoconf, ipam, place_ports
from hostler.resources.network.router_specs import GATEWAY, INTERFACE, SNAT
from hostler.resources.network.routers import remove_ports

LOG = logging.getLogger(__name__)

OWNER: Final = "network:router_gateway"


def set_gateway(session: orm.Session, caller: Caller, router: Router, given: Mapping[str, Any], verb: str) -> bool:
    """Give the router the gateway that a request describes, or none; return whether anything is different.

    Raises NotFound and Invalid for the network and the addresses, InUse while floating IPs need the present gateway.
    """
    for name in ("enable_snat", "external_fixed_ips"):
        if name in given:
            caller.check(f"{verb}_router:external_gateway_info:{name}", router.project_id)
    present = session.scalars(sa.select(Port).join(RouterPort, RouterPort.port_id == Port.id).where(
        RouterPort.router_id == router.id, RouterPort.role == GATEWAY)).one_or_none()
    if not given.get("network_id"):
        router.enable_snat = True
        return _clear(session, router, present)
    network = find(session, caller, Network, str(given["network_id"]), hold=True)
    if not network.external:
        raise errors.Invalid(reason=f"Network {network.id} is not an external network")
    snat = bool(given.get("enable_snat", True))
    same_snat, router.enable_snat = router.enable_snat == snat, snat
    wanted = given.get("external_fixed_ips")
    if present is not None and present.network_id == network.id and (
            not wanted or _addresses(session, present) == _named(wanted)):
        return not same_snat
    _clear(session, router, present, keeping=network.id)
    _make(session, caller, router, network, wanted)
    return True


def _make(session: orm.Session, caller: Caller, router: Router, network: Network,
          wanted: Sequence[Mapping[str, str]] | None) -> None:
    subnets = list(session.scalars(sa.select(Subnet).where(Subnet.network_id == network.id)
                                   .order_by(Subnet.created_at, Subnet.id)))
    _check_overlap(subnets, _inside(session, [router.id])[router.id])
    requests = port_rules.requests(caller, network, subnets, wanted or None, device_owner=OWNER)
    [port] = place_ports.place(session, caller.services.conf, [place_ports.Draft(
        network, network.project_id, requests, values={
            "device_id": router.id, "device_owner": OWNER, "status": "ACTIVE", "port_security_enabled": False})])
    session.add(RouterPort(port_id=port.id, router_id=router.id, role=GATEWAY))
    session.flush()


def give_addresses(session: orm.Session, subnet: Subnet) -> list[str]:
    """Give each gateway on a new subnet's network an address there, unless it was given one of the same IP version.

    Those that gateways form by themselves, as every port does, are not given here. Returns the ids of the routers that
    have one now. A router that cannot have one stays as it is: a project's router does not hold up the owner of the
    external network.
    """
    gateways = session.execute(
        sa.select(Port, RouterPort.router_id).join(RouterPort, RouterPort.port_id == Port.id)
        .where(Port.network_id == subnet.network_id, RouterPort.role == GATEWAY).order_by(Port.id)).tuples().all()
    if not gateways:
        return []
    held = {port_id for port_id, other in session.execute(
        sa.select(FixedIp.port_id, Subnet).join(Subnet, Subnet.id == FixedIp.subnet_id)
        .where(FixedIp.port_id.in_([port.id for port, _ in gateways]))).tuples()
        if other.ip_version == subnet.ip_version and not autoconf.is_automatic(other)}
    inside = _inside(session, [router_id for _, router_id in gateways])
    wanted = [(port, router_id) for port, router_id in gateways if port.id not in held
              and _overlaps_nothing(router_id, subnet, inside[router_id])]
    for port, router_id in wanted[(room := ipam.capacity(subnet)):]:
        LOG.warning("Router %s gets no address of subnet %s for its gateway %s: there are only %d", router_id,
                    subnet.id, port.id, room)
    del wanted[room:]
    if wanted:
        place_ports.give_each(session, [(port, ipam.AddressRequest((subnet,))) for port, _ in wanted])
    return [router_id for _, router_id in wanted]


def _overlaps_nothing(router_id: str, subnet: Subnet, inside: Iterable[tuple[str, str]]) -> bool:
    try:
        _check_overlap([subnet], inside)
    except errors.Invalid as error:
        LOG.warning("Router %s gets no address of subnet %s: %s", router_id, subnet.id, error)
        return False
    return True


def _clear(session: orm.Session, router: Router, present: Port | None, keeping: str | None = None) -> bool:
    if present is None:
        return False
    if present.network_id != keeping and session.scalars(sa.select(FloatingIp.id).where(
            FloatingIp.router_id == router.id).limit(1)).first() is not None:
        raise errors.InUse(
            f"Gateway cannot be updated for router {router.id}, since a gateway to external network "
            f"{present.network_id} is required by one or more floating IPs.",
            resource="router gateway", id=router.id, reason="floating IPs")
    remove_ports(session, session.scalars(sa.select(RouterPort.port_id).where(
        RouterPort.router_id == router.id, RouterPort.role.in_((GATEWAY, SNAT)))).all())
    session.expunge(present)
    return True


def _inside(session: orm.Session, router_ids: Sequence[str]) -> dict[str, list[tuple[str, str]]]:
    """Return the subnets that routers join, each with its CIDR, by router."""
    found: dict[str, list[tuple[str, str]]] = {router_id: [] for router_id in router_ids}
    for router_id, subnet_id, cidr in session.execute(
            sa.select(RouterPort.router_id, Subnet.id, Subnet.cidr).join(FixedIp, FixedIp.port_id == RouterPort.port_id)
            .join(Subnet, Subnet.id == FixedIp.subnet_id)
            .where(RouterPort.router_id.in_(router_ids), RouterPort.role == INTERFACE)).tuples():
        found[router_id].append((subnet_id, cidr))
    return found


def _check_overlap(subnets: Sequence[Subnet], inside: Iterable[tuple[str, str]]) -> None:
    for subnet in subnets:
        for other_id, cidr in inside:
            if ipaddress.ip_network(subnet.cidr).overlaps(ipaddress.ip_network(cidr)):
                raise overlap(subnet, other_id, cidr)


def overlap(subnet: Subnet, other_id: str, other_cidr: str) -> errors.Invalid:
    """Return the error for two subnets with common addresses on one router."""
    return errors.Invalid(f"Bad router request: Cidr {subnet.cidr} of subnet {subnet.id} overlaps with cidr "
                          f"{other_cidr} of subnet {other_id}.", reason="overlap", subnet=subnet.id)


def _addresses(session: orm.Session, port: Port) -> set[str]:
    return set(session.scalars(sa.select(FixedIp.ip_address).where(FixedIp.port_id == port.id)))


def _named(wanted: Sequence[Mapping[str, str]]) -> set[str | None]:
    return {item.get("ip_address") for item in wanted}
