"""Verbs on domains. The domain `default` always exists and is always enabled."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from api.core.identity import rows as identity_rows
from api.services import Services
from hostler import errors, ids
from hostler.context import RequestContext
from hostler.db.models import Domain
from hostler.identity import removal
from hostler.query.paging import Page, Query
from hostler.query.resources import declare

DOMAIN = declare(Domain)


def list_domains(services: Services, context: RequestContext, query: Query) -> Page:
    """Return a page of the domains, or the token's own."""
    services.policy.check(context, "identity:list_domains", identity_rows.list_target(context))
    return identity_rows.list_rows(services, DOMAIN, query, *identity_rows.in_domain(context, Domain.id))


def get_domain(services: Services, context: RequestContext, domain_id: str,
               action: str = "identity:get_domain") -> Domain:
    """Return one domain; raises NotFound and Forbidden."""
    return identity_rows.find(services, context, Domain, domain_id, action,
                              lambda _session, domain: {"domain_id": domain.id})


def create_domain(services: Services, context: RequestContext, values: dict[str, Any]) -> Domain:
    """Create a domain from name, description, enabled, tags and options; raises Conflict.

    `explicit_domain_id` is the id it gets, 32 digits; else it gets one of ours.
    """
    services.policy.check(context, "identity:create_domain", {})

    def work(session: orm.Session) -> Domain:
        _refuse_taken(services, session, values["name"], None)
        domain = Domain(id=ids.canonical(values.get("explicit_domain_id") or "") or ids.new_id(), name=values["name"],
                        description=values.get("description") or "", enabled=values.get("enabled", True),
                        tags=values.get("tags", []))
        identity_rows.set_attributes(domain, values)
        session.add(domain)
        return domain

    return identity_rows.store(services, work, noun="domain", name=values["name"])


def update_domain(services: Services, context: RequestContext, domain_id: str, changes: dict[str, Any]) -> Domain:
    """Change a domain; raises Conflict, and Forbidden for disabling `default`."""
    found = get_domain(services, context, domain_id, "identity:update_domain")
    if found.id == identity_rows.DEFAULT_DOMAIN and changes.get("enabled") is False:
        raise errors.Forbidden("The default domain cannot be disabled.")

    def work(session: orm.Session) -> Domain:
        domain = identity_rows.must_exist(session, Domain, "domain", found.id)
        identity_rows.check_immutable(domain, changes)
        if "name" in changes:
            _refuse_taken(services, session, changes["name"], found.id)
        identity_rows.set_attributes(domain, changes, "name", "description", "enabled", "tags")
        return domain

    return identity_rows.store(services, work, noun="domain", name=str(changes.get("name", found.name)))


def delete_domain(services: Services, context: RequestContext, domain_id: str) -> None:
    """Delete a disabled, empty domain; raises Forbidden and InUse."""
    found = get_domain(services, context, domain_id, "identity:delete_domain")
    if found.id == identity_rows.DEFAULT_DOMAIN or found.enabled:
        raise errors.Forbidden("The default domain and enabled domains cannot be deleted.")

    def work(session: orm.Session) -> None:
        services.db.lock_row(session, Domain, Domain.id == found.id)
        identity_rows.check_immutable(identity_rows.must_exist(session, Domain, "domain", found.id))
        removal.remove_domain(session, found.id)

    identity_rows.store(services, work, noun="domain", name=found.name)


def _refuse_taken(services: Services, session: orm.Session, name: str, own_id: str | None) -> None:
    # Names of domains are given out one at a time, under the row that is always there.
    services.db.lock_row(session, Domain, Domain.id == identity_rows.DEFAULT_DOMAIN)
    taken = session.execute(sa.select(Domain.id).where(Domain.name == name)).scalars().first()
    if taken is not None and taken != own_id:
        raise errors.Conflict(reason=f"Conflict occurred attempting to store domain - there is one named {name} "
                                     "already.")
