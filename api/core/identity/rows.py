"""Finding, listing and storing identity's rows, for the verbs on projects, users, roles and domains.

A caller without the right to see a resource gets 403 whether it exists or not. Only text that cannot be an id is 404
for everybody, because clients look names up as if they were ids.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import exc, orm

from api.services import Services
from hostler import errors, ids
from hostler.context import RequestContext
from hostler.db.models import Domain, Group, GroupRoleAssignment, Role, User
from hostler.db.models.identity import Described
from hostler.identity import roles
from hostler.query.fields import Condition
from hostler.query.paging import Page, Query, read_page
from hostler.query.resources import Resource

Row = TypeVar("Row", bound=Any)
Result = TypeVar("Result")

DEFAULT_DOMAIN = "default"


def not_found(noun: str, identifier: str) -> errors.NotFound:
    """Return the error for a resource that does not exist."""
    return errors.NotFound(f"Could not find {noun}: {identifier[:64]}.", resource=noun, id=identifier[:64])


def inside_id(noun: str, identifier: str) -> str:
    """Return the id as it is stored; raises NotFound when the text cannot be one."""
    if noun == "domain" and identifier == DEFAULT_DOMAIN:
        return identifier
    found = ids.canonical(identifier)
    if found is None:
        raise not_found(noun, identifier)
    return found


def find(services: Services, context: RequestContext, model: type[Row], identifier: str, action: str,
         target: Callable[[orm.Session, Row], dict[str, Any]]) -> Row:
    """Return the row when the caller may do `action` to it.

    `target(session, row)` returns the values that the policy rule sees. Raises NotFound and Forbidden.
    """
    noun = model.__name__.lower()
    key = inside_id(noun, identifier)
    with services.db.reading() as session:
        row = session.get(model, key)
        values = target(session, row) if row is not None else {}
    services.policy.check(context, action, values)
    if row is None:
        raise not_found(noun, identifier)
    return row


def must_exist(session: orm.Session, model: type[Row], noun: str, identifier: str) -> Row:
    """Return the row; raises NotFound."""
    row = session.get(model, inside_id(noun, identifier))
    if row is None:
        raise not_found(noun, identifier)
    return row


def list_rows(services: Services, resource: Resource, query: Query, *scope: Condition) -> Page:
    """Return one page; raises NotFound for an unknown marker."""
    with services.db.reading() as session:
        return read_page(session, resource, query, scope)


def store(services: Services, work: Callable[[orm.Session], Result], *, noun: str, name: str) -> Result:
    """Run a change of identity in one transaction and drop cached tokens; raises Conflict for a taken name."""
    try:
        return services.db.write(work)
    except exc.IntegrityError as error:
        raise errors.Conflict(reason=f"Conflict occurred attempting to store {noun} - there is one named "
                                     f"{name} already, or what it refers to is gone.") from error
    finally:
        services.identity.forget()


def domain_for(session: orm.Session, context: RequestContext, asked: str | None) -> Domain:
    """Return the domain something is created in: the one asked for, else the token's, else the default one.

    Raises NotFound.
    """
    return must_exist(session, Domain, "domain", asked or context.domain_id or DEFAULT_DOMAIN)


def check_immutable(row: Described, changes: Mapping[str, Any] | None = None) -> None:
    """Raise Forbidden for a change of an immutable resource, or for its deletion when there are no `changes`.

    The one change it takes is to end being immutable.
    """
    unlocks = (changes is not None and set(changes) == {"options"}
               and not changes["options"].get("immutable", True))
    if row.immutable and not unlocks:
        verb = "delete" if changes is None else "update"
        raise errors.Forbidden(f"Unable to {verb} immutable {type(row).__name__.lower()} resource. Set resource option "
                               "\"immutable\" to false first.")


def set_attributes(row: Any, values: Mapping[str, Any], *names: str) -> None:
    """Set the columns `names` that `values` holds; add its `extra` attributes and `options` to those that are there.

    An option that is null goes away.
    """
    for name in names:
        if name in values:
            setattr(row, name, values[name])
    if values.get("extra"):
        row.extra = {**(row.extra or {}), **values["extra"]}
    if values.get("options"):
        options = {**(row.options or {}), **values["options"]}
        row.options = {name: value for name, value in options.items() if value is not None}


def list_target(context: RequestContext) -> dict[str, Any]:
    """Return what rules see of a list that is narrowed by `in_domain`."""
    return {"domain_id": context.domain_id or "", "user_id": ""}


def in_domain(context: RequestContext, column: sa.SQLColumnExpression[str]) -> list[Condition]:
    """Return the conditions by which the token of a domain sees that domain's rows only."""
    return [column == context.domain_id] if context.domain_id and not context.is_admin else []


def new_target(context: RequestContext, asked: str | None) -> dict[str, Any]:
    """Return what rules see of a resource that is to be created in `domain_for(…, asked)`."""
    domain_id = asked or context.domain_id or DEFAULT_DOMAIN
    return {"domain_id": ids.canonical(domain_id) or domain_id}


def user_target(session: orm.Session, user: User) -> dict[str, Any]:
    """Return what rules see of a user."""
    return {"user_id": user.id, "domain_id": user.domain_id,
            "protected": _has_power(session, roles.held_by(user.id).subquery())}


def group_target(session: orm.Session, group: Group) -> dict[str, Any]:
    """Return what rules see of a group."""
    given = sa.select(GroupRoleAssignment).where(GroupRoleAssignment.group_id == group.id).subquery()
    return {"domain_id": group.domain_id, "protected": _has_power(session, given)}


def _has_power(session: orm.Session, held: sa.Subquery) -> bool:
    """Return whether a role of `held` reaches beyond the projects and domain it was given on."""
    query = (sa.select(Role.id).join(held, held.c.role_id == Role.id)
             .where(sa.or_(Role.name.in_((roles.ADMIN, roles.SERVICE)), held.c.target_type == "system")).limit(1))
    return session.execute(query).first() is not None


def any_target(_session: orm.Session, _row: object) -> dict[str, Any]:
    """Return nothing: for rules that do not look at the target."""
    return {}
