"""Who gives a router's way outside (SNAT, floating IPs, port forwardings): each host for its own guests, or one that is
elected for all; and where that one is.

Who gives what else a network has is not the router's to say (`api.core.network.services`). Of the published attributes
`distributed` and `ha`, which are one thing here, the second is the first one's opposite: an elected host is replaced
when it is down.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import orm

from api.core.network.scope import Caller, find_to_change
from hostler import errors
from hostler.db.models import Router
from hostler.resources.network import elections, services

SAID: Final = ("distributed", "ha")


@dataclasses.dataclass(frozen=True)
class Provider:
    """A kind of provider of `service_type`."""

    name: str
    default: bool
    service_type: str = "L3_ROUTER_NAT"


PROVIDERS: Final = (Provider(services.FLAT, default=True), Provider(services.VIRTUAL_ROUTER, default=False))


def asked(caller: Caller, project_id: str, values: Mapping[str, Any], verb: str, router: Router | None = None) -> bool:
    """Return whether a request wants the router distributed; raises Invalid for what contradicts itself, and for a
    change of a router that is up."""
    present = router is None or router.distributed
    said = {name: values[name] for name in SAID if values.get(name) is not None}
    for name in said:
        caller.check(f"{verb}_router:{name}", project_id)
    # `ha` false asks for nothing: an elected host that is down is replaced in any case.
    wanted = bool(said.get("distributed", False if said.get("ha") else present))
    if wanted and said.get("ha"):
        raise errors.InvalidField(
            "A distributed router has nothing that fails over: of 'ha' and 'distributed', one alone can be true.",
            field="ha", value="true", reason="distributed")
    if router is not None and wanted != present and values.get("admin_state_up", router.admin_state_up):
        raise errors.Invalid("Cannot change the 'distributed' or 'ha' attribute of an active router: set "
                             "admin_state_up to false first.", reason="active router", router=router.id)
    return wanted


def swap(session: orm.Session, caller: Caller, router: Router, *, distributed: bool) -> list[str]:
    """Change the provider of a router; returns the operations to wake."""
    return elections.swap(session, caller.context, router, _down_s(caller), distributed=distributed)


def elect(session: orm.Session, caller: Caller, router_id: str, avoid: str | None = None) -> list[str]:
    """Elect the router's host, or another than `avoid` if there is one; returns the operations to wake."""
    chosen = elections.choose(session, router_id, _down_s(caller), avoid)
    return elections.elect(session, caller.context, router_id, chosen)


def remove_from_host(caller: Caller, host_id: str, identifier: str) -> None:
    """Take the router's appliance from the host that is elected: another one is made elsewhere, or there again.

    Raises Conflict when the host is not the elected one.
    """
    def work(session: orm.Session) -> tuple[None, list[str]]:
        router = find_to_change(session, caller, Router, identifier)
        if router.distributed or elections.leader(session, router.id) != host_id:
            raise errors.Conflict(f"The router {router.id} is not hosted by L3 agent {host_id}.",
                                  reason="router not hosted", router=router.id)
        return None, elect(session, caller, router.id, avoid=host_id)
    caller.write(work)


def put_on_host(caller: Caller, host_id: str, identifier: str) -> None:
    """Have a host lead outside for a router; one that does already is told all of it again.

    Raises Conflict for a distributed router, and for a host that is down, has no guest of the router, or does not reach
    one of its networks.
    """
    def work(session: orm.Session) -> tuple[None, list[str]]:
        router = find_to_change(session, caller, Router, identifier)
        if router.distributed:
            raise errors.Conflict(f"The router {router.id} is distributed: each host leads outside for its own guests.",
                                  reason="distributed router", router=router.id)
        if host_id not in elections.candidates(session, router.id, _down_s(caller)):
            raise errors.Conflict(
                f"Failed scheduling router {router.id} to the L3 agent {host_id}: its host is down, has no guest on "
                "the router's networks, or does not reach one of them.",
                reason="router cannot be there", router=router.id)
        return None, elections.elect(session, caller.context, router.id, host_id)
    caller.write(work)


def _down_s(caller: Caller) -> float:
    return float(caller.services.conf.service_down_time)
