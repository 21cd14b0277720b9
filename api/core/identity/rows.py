"""Finding, listing and storing identity's rows, for the verbs on projects, users, roles and domains.

A caller without the right to see a resource gets 403 whether it exists or not. Only text that cannot be an id is 404
for everybody, because clients look names up as if they were ids.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import exc, orm

from api import paging
from api.services import Services
from hostler import errors, ids
from hostler.context import RequestContext
from hostler.db.models import Domain, User
from hostler.db.models.identity import Described

Row = TypeVar("Row", bound=Any)
Result = TypeVar("Result")

DEFAULT_DOMAIN = "default"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Listing:
    """What to list: equal values by column name, words about the name by operator, and the page."""

    equal: dict[str, Any] = dataclasses.field(default_factory=dict)
    name_like: dict[str, str] = dataclasses.field(default_factory=dict)  # contains, startswith, endswith (also i…)
    limit: int = 1000
    marker: str | None = None


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


def list_rows(services: Services, model: type[Row], listing: Listing,
              *criteria: sa.ColumnElement[bool]) -> tuple[list[Row], bool]:
    """Return one page, sorted by name, and whether more follow; raises NotFound for an unknown marker."""
    columns: list[tuple[Any, bool]] = [(model.name, False), (model.id, False)]
    query = sa.select(model).where(*criteria).order_by(*paging.order_by(columns)).limit(listing.limit + 1)
    for name, value in listing.equal.items():
        query = query.where(getattr(model, name) == value)
    for operator, text in listing.name_like.items():
        query = query.where(getattr(model.name, operator)(text, autoescape=True))
    with services.db.reading() as session:
        if listing.marker is not None:
            last = must_exist(session, model, model.__name__.lower(), listing.marker)
            query = query.where(paging.after_marker(columns, (last.name, last.id)))
        rows: Sequence[Row] = session.execute(query).scalars().all()
    return list(rows[:listing.limit]), len(rows) > listing.limit


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


def user_target(_session: orm.Session, user: User) -> dict[str, Any]:
    """Return what rules see of a user."""
    return {"user_id": user.id}


def any_target(_session: orm.Session, _row: object) -> dict[str, Any]:
    """Return nothing: for rules that do not look at the target."""
    return {}
