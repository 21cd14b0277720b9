"""Which provider gives which service of a network, and its change on a running one.

What the rows say follows from the network's choices and from its routers (`refs`); nothing else is stored. A change is
one transaction, which also accepts the operation that tells the hosts: `network.update`, or `network.update_router`
where what leads outside changes. The hosts keep addresses, and so do the guests: the next host that answers knows them
from the same rows.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import orm

from hostler import errors
from hostler.context import RequestContext
from hostler.db.models import FixedIp, Network, Port, Router, RouterPort
from hostler.resources.network import elections, host_updates, kinds, peers
from hostler.resources.network.router_specs import GATEWAY, INTERFACE
from hostler.resources.network.services import (
    CHOSEN,
    DHCP,
    DNS,
    EIP,
    FLAT,
    OF_ROUTERS,
    OFFERED,
    PORT_FORWARDING,
    SECURITY_GROUP,
    SNAT,
    USERDATA,
    VIRTUAL_ROUTER,
)

Choices = Mapping[str, str | None]  # service → provider, or None for nobody

_COLUMNS: Final = {DHCP: "dhcp_provider", DNS: "dns_provider", USERDATA: "userdata_provider"}
_REFUSED: Final = {
    USERDATA: "a router's host knows the metadata of its own guests alone, so each host gives it",
    SECURITY_GROUP: "rules are enforced where guests are, so each host does it"}
_FIXED: Final = {
    SNAT: "switch it off with the router's external gateway (enable_snat), or remove the gateway",
    EIP: "it is its routers' as long as they have an external gateway",
    PORT_FORWARDING: "it is its routers' as long as they have an external gateway",
    SECURITY_GROUP: "switch it off with port_security_enabled, for a network or a port"}


@dataclasses.dataclass(frozen=True)
class Ref:
    """That a provider gives a service of a network."""

    network_id: str
    service: str
    provider: str


def refs(session: orm.Session, network: Network) -> list[Ref]:
    """Return who gives a network's services as things are; services that nobody gives are left out."""
    routers = _routers(session, network)
    elected = any(not router.distributed for router in routers)
    given: dict[str, str | None] = {
        service: FLAT if chosen == VIRTUAL_ROUTER and not elected else chosen
        for service, chosen in _chosen(network).items()}
    for service in OF_ROUTERS:
        leading = [router for router in routers if router.enable_snat or service != SNAT]
        given[service] = (FLAT if leading[0].distributed else VIRTUAL_ROUTER) if leading else None
    given[SECURITY_GROUP] = FLAT
    return [Ref(network.id, service, provider) for service, provider in given.items() if provider is not None]


def attached(session: orm.Session, network: Network) -> list[str]:
    """Return the providers that a network has: Flat, and VirtualRouter with a router that elects its host."""
    return [FLAT, *([VIRTUAL_ROUTER] if any(not router.distributed for router in _routers(session, network)) else [])]


def attach_provider(session: orm.Session, network: Network, provider: str) -> None:
    """Attach a provider to a network; done already, or refused: Conflict says what makes it so."""
    _known_provider(provider)
    if provider not in attached(session, network):
        raise errors.Conflict(
            f"Provider {VIRTUAL_ROUTER} cannot be attached to network {network.id}: no router that is up, has an "
            "external gateway and elects its host (distributed=false) joins it.", reason="no elected router",
            network=network.id)


def attach(session: orm.Session, context: RequestContext, network: Network,
           wanted: Mapping[str, Collection[str]], down_s: float) -> list[str]:
    """Have providers give services that nobody gives, {provider: services}; returns the operations to wake.

    Repeating it changes nothing. Raises Conflict where another provider gives one, InvalidField for unknown words.
    """
    given = {ref.service: ref.provider for ref in refs(session, network)}
    choices = _by_service(wanted)
    for service, provider in choices.items():
        if given.get(service, provider) != provider:
            raise errors.Conflict(f"Service {service} of network {network.id} is given by provider {given[service]}: "
                                  "detach it first.", reason="service attached", network=network.id)
    return choose(session, context, network, choices, down_s)


def detach(session: orm.Session, context: RequestContext, network: Network,
           wanted: Mapping[str, Collection[str]], down_s: float) -> list[str]:
    """Have providers not give services any more, {provider: services}; those that they do not give are ignored.

    Returns the operations to wake.
    """
    given = {(ref.service, ref.provider) for ref in refs(session, network)}
    return choose(session, context, network, {
        service: None for service, provider in _by_service(wanted).items() if (service, provider) in given}, down_s)


def choose(session: orm.Session, context: RequestContext, network: Network, choices: Choices,
           down_s: float) -> list[str]:
    """Have others, or nobody, give services of a network whose row is held; returns the operations to wake.

    Raises InvalidField for unknown words, Conflict for what is not possible, with the reason; the transaction is to be
    rolled back then.
    """
    for service, provider in choices.items():
        _check_offered(network, service, provider)
    operation_ids: list[str] = []
    swapped = _router_to_swap(session, network, choices)
    if swapped is not None:
        swapped.revision += 1
        operation_ids += elections.swap(session, context, swapped, down_s, distributed=not swapped.distributed)
    before = _chosen(network)
    after = {**before, **{service: choices[service] for service in CHOSEN if service in choices}}
    for service, provider in after.items():
        if provider == VIRTUAL_ROUTER and service in choices:
            _check_reached(session, network, service)
    if after != before:
        for service, column in _COLUMNS.items():
            setattr(network, column, after[service])
        network.revision += 1
        session.flush()
        if VIRTUAL_ROUTER in (before[DHCP], after[DHCP]):
            _count_places(session, network.id)
        operation_ids += host_updates.notify_of_network(session, context, network.id)
    return operation_ids


def _chosen(network: Network) -> dict[str, str | None]:
    return {service: getattr(network, column) for service, column in _COLUMNS.items()}


def _routers(session: orm.Session, network: Network) -> list[Router]:
    """Return the routers that lead outside for a network."""
    joined = sa.select(RouterPort.router_id).join(Port, Port.id == RouterPort.port_id).where(
        RouterPort.role == INTERFACE, Port.network_id == network.id)
    # A gateway without an address leads nowhere yet.
    leading = sa.select(RouterPort.router_id).join(FixedIp, FixedIp.port_id == RouterPort.port_id).where(
        RouterPort.role == GATEWAY)
    return list(session.scalars(sa.select(Router).where(
        Router.id.in_(joined), Router.id.in_(leading), Router.admin_state_up).order_by(Router.id)))


def _by_service(wanted: Mapping[str, Collection[str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for provider, services in wanted.items():
        _known_provider(provider)
        for service in services:
            _known_service(service)
            if found.setdefault(service, provider) != provider:
                raise errors.InvalidField(field="services", value=service, reason="It is named for two providers.")
    return found


def _known_provider(provider: str) -> None:
    if provider not in OFFERED:
        raise errors.InvalidField(field="provider", value=provider, reason=f"There are {' and '.join(OFFERED)}.")


def _known_service(service: str) -> None:
    if service not in OFFERED[FLAT]:
        raise errors.InvalidField(field="service", value=service, reason=f"There are {', '.join(OFFERED[FLAT])}.")


def _check_offered(network: Network, service: str, provider: str | None) -> None:
    """Refuse what no network can have."""
    _known_service(service)
    if provider is None:
        if service in _FIXED:
            raise _refusal(network, service, "cannot be detached", _FIXED[service])
        return
    _known_provider(provider)
    if service not in OFFERED[provider]:
        raise _refusal(network, service, f"cannot be given by {provider}", _REFUSED[service])


def _check_reached(session: orm.Session, network: Network, service: str) -> None:
    """Refuse what no elected host can give on a network."""
    attach_provider(session, network, VIRTUAL_ROUTER)
    if network.network_type == kinds.FLAT and network.physical_network is None:
        raise _refusal(network, service, f"cannot be given by {VIRTUAL_ROUTER}",
                       "nothing joins the network's hosts: each has a bridge of its own")


def _refusal(network: Network, service: str, verb: str, why: str) -> errors.Conflict:
    return errors.Conflict(f"Service {service} of network {network.id} {verb}: {why}.", reason="service refused",
                           network=network.id)


def _router_to_swap(session: orm.Session, network: Network, choices: Choices) -> Router | None:
    """Return the router that another provider is to lead outside for.

    Raises Conflict where the choices do not name all that it gives alike, or several routers or none lead outside.
    """
    named = {service: provider for service, provider in choices.items() if service in OF_ROUTERS}
    if not named:
        return None
    routers = _routers(session, network)
    if len(routers) != 1:
        raise _refusal(network, next(iter(named)), "cannot be given by another provider",
                       f"{len(routers)} routers lead outside for the network; change the one that is meant")
    given: dict[str, Any] = {ref.service: ref.provider for ref in refs(session, network) if ref.service in OF_ROUTERS}
    if len({*({**given, **named}.values())}) != 1:
        raise _refusal(network, next(iter(named)), "cannot be given apart from the others",
                       f"router {routers[0].id} gives {', '.join(given)} together, so all must be named alike")
    return routers[0] if {*named.values()} != {*given.values()} else None


def _count_places(session: orm.Session, network_id: str) -> None:
    """Have hosts take what they now hear about the network's ports for newer than what they knew before."""
    peers.ports_changed(session, session.scalars(sa.select(Port.id).where(
        Port.network_id == network_id, Port.host_id.is_not(None))).all())
