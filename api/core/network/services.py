"""Which provider gives a network's services: shown, attached and detached by a network's owner.

`{provider: services}` is how requests name them (`hostler.resources.network.services` has the words). What leads
outside is changed with the rights that changing a router needs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from sqlalchemy import orm

from api.core.network.scope import Caller, find, find_to_change
from hostler.context import RequestContext
from hostler.db.models import Network
from hostler.resources.network import providers
from hostler.resources.network.providers import Ref
from hostler.resources.network.services import OF_ROUTERS

Wanted = Mapping[str, Collection[str]]
_Change = Callable[[orm.Session, RequestContext, Network, Wanted, float], list[str]]


def list_services(caller: Caller, identifier: str) -> list[Ref]:
    """Return who gives which service of a network; raises NotFound."""
    with caller.services.db.reading() as session:
        return providers.refs(session, find(session, caller, Network, identifier))


def list_providers(caller: Caller, identifier: str) -> list[str]:
    """Return the providers that are attached to a network; raises NotFound."""
    with caller.services.db.reading() as session:
        return providers.attached(session, find(session, caller, Network, identifier))


def attach_provider(caller: Caller, identifier: str, provider: str) -> None:
    """Attach a provider to a network; raises NotFound, InvalidField, and Conflict where the network cannot have it."""
    with caller.services.db.reading() as session:
        network = find(session, caller, Network, identifier)
        caller.check("update_network", network.project_id)
        providers.attach_provider(session, network, provider)


def attach_services(caller: Caller, identifier: str, wanted: Wanted) -> list[Ref]:
    """Have providers give services that no other gives, and return who now gives which.

    Raises NotFound, InvalidField, and Conflict with the reason.
    """
    return _change(caller, identifier, wanted, providers.attach)


def detach_services(caller: Caller, identifier: str, wanted: Wanted) -> list[Ref]:
    """As `attach_services`: have providers not give services any more, as far as they do."""
    return _change(caller, identifier, wanted, providers.detach)


def _change(caller: Caller, identifier: str, wanted: Wanted, change: _Change) -> list[Ref]:
    def work(session: orm.Session) -> tuple[list[Ref], list[str]]:
        network = find_to_change(session, caller, Network, identifier)
        caller.check("update_network", network.project_id)
        if any(service in OF_ROUTERS for services in wanted.values() for service in services):
            caller.check("update_router:distributed", network.project_id)
        operation_ids = change(session, caller.context, network, wanted, caller.services.conf.service_down_time)
        return providers.refs(session, network), operation_ids
    return caller.write(work)
