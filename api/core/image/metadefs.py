"""Metadata definitions: namespaces, and the properties, objects, tags and resource types in them.

They describe which properties images, flavors, volumes and servers may have; dialogs offer what they say, and nothing
else here reads them. All kinds of definitions are rows of one table, with a body that the face has checked.

Everybody sees public namespaces, and those of the own project; administrators see all.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import exc, orm

from api.policies.metadefs import OF_KIND
from api.services import Services
from hostler import clock, errors, ids
from hostler.context import RequestContext
from hostler.db.models import MetadefItem, MetadefNamespace, Project
from hostler.query.paging import Page, Query, read_page
from hostler.query.resources import declare

# What a new cloud can describe; others appear when a namespace names them.
RESOURCE_TYPES: Final = ("OS::Cinder::Volume", "OS::Glance::Image", "OS::Nova::Aggregate", "OS::Nova::Flavor",
                         "OS::Nova::Server")
_SINCE: Final = clock.parse("2026-11-27T00:00:00Z")
NAMESPACE: Final = declare(MetadefNamespace, key="name")
ITEM: Final = declare(MetadefItem, key="name")


@dataclasses.dataclass(frozen=True)
class Described:
    """A namespace with what is in it (in lists: its resource types)."""

    namespace: MetadefNamespace
    items: Sequence[MetadefItem]

    def of(self, kind: str) -> list[MetadefItem]:
        """Return the definitions of one kind."""
        return [item for item in self.items if item.kind == kind]


def list_namespaces(services: Services, context: RequestContext, query: Query, *, visibility: str | None,
                    resource_types: Sequence[str]) -> Page:
    """Return a page of Described, of a visibility and for some resource types (none: any)."""
    services.policy.check(context, "get_metadef_namespaces")
    seen = [_visible_to(services, context)]
    scope = list(seen)
    if visibility is not None:
        scope.append(MetadefNamespace.visibility == visibility)
    if resource_types:
        scope.append(sa.exists().where(MetadefItem.namespace_id == MetadefNamespace.id,
                                       MetadefItem.kind == "resource_types", MetadefItem.name.in_(resource_types)))
    with services.db.reading() as session:
        page = read_page(session, NAMESPACE, query, scope, seen=seen)
        types = _items(session, [row.id for row in page.rows], ["resource_types"])
    return dataclasses.replace(page, rows=[
        Described(row, [item for item in types if item.namespace_id == row.id]) for row in page.rows])


def show_namespace(services: Services, context: RequestContext, name: str) -> Described:
    """Return a namespace with all in it; raises NotFound."""
    with services.db.reading() as session:
        row = _find(services, session, context, name, "get_metadef_namespace")
        return Described(row, _items(session, [row.id], list(OF_KIND)))


def create_namespace(services: Services, context: RequestContext, values: Mapping[str, Any],
                     items: Mapping[str, Mapping[str, Any]]) -> Described:
    """Make a namespace with what is in it (kind → name → body); raises NotUnique, and InvalidField for the owner."""
    services.policy.check(context, "add_metadef_namespace")

    def work(session: orm.Session) -> Described:
        row = MetadefNamespace(id=ids.new_id(), **_owned(session, context, values))
        session.add(row)
        session.flush()
        made = [MetadefItem(namespace_id=row.id, kind=kind, name=name, body=body)
                for kind, found in items.items() for name, body in found.items()]
        session.add_all(made)
        session.flush()
        return Described(row, made)

    return _write(services, "Namespace", str(values["name"]), work)


def update_namespace(services: Services, context: RequestContext, name: str, values: Mapping[str, Any]) -> Described:
    """Replace a namespace's attributes, its name among them; what is in it stays. Raises as `create_namespace`."""
    def work(session: orm.Session) -> Described:
        row = _find(services, session, context, name, "modify_metadef_namespace")
        for column, value in _owned(session, context, values).items():
            setattr(row, column, value)
        session.flush()
        return Described(row, ())

    return _write(services, "Namespace", str(values["name"]), work)


def delete_namespace(services: Services, context: RequestContext, name: str) -> None:
    """Delete a namespace with all in it; raises Forbidden for a protected one."""
    def work(session: orm.Session) -> None:
        row = _unprotected(_find(services, session, context, name, "delete_metadef_namespace"))
        session.execute(sa.delete(MetadefItem).where(MetadefItem.namespace_id == row.id))
        session.delete(row)

    services.db.write(work)


def list_resource_types(services: Services, context: RequestContext) -> list[tuple[str, Any]]:
    """Return the resource types that there are, by name, with the time since when."""
    services.policy.check(context, OF_KIND["resource_types"]["list"])
    with services.db.reading() as session:
        known = dict.fromkeys(RESOURCE_TYPES, _SINCE) | dict(session.execute(
            sa.select(MetadefItem.name, sa.func.min(MetadefItem.created_at))
            .where(MetadefItem.kind == "resource_types").group_by(MetadefItem.name)).tuples().all())
    return sorted(known.items())


def list_items(services: Services, context: RequestContext, namespace: str, kind: str, query: Query) -> Page:
    """Return a page of a namespace's definitions of one kind."""
    with services.db.reading() as session:
        row = _find(services, session, context, namespace, OF_KIND[kind]["list"])
        return read_page(session, ITEM, query, [MetadefItem.namespace_id == row.id, MetadefItem.kind == kind])


def show_item(services: Services, context: RequestContext, namespace: str, kind: str, name: str) -> MetadefItem:
    """Return one definition; raises NotFound."""
    with services.db.reading() as session:
        row = _find(services, session, context, namespace, OF_KIND[kind]["show"])
        return _find_item(session, row, kind, name)


def add_items(services: Services, context: RequestContext, namespace: str, kind: str,
              bodies: Mapping[str, Mapping[str, Any]], *, replace: bool = False) -> list[MetadefItem]:
    """Add definitions (name → body), all or none, with `replace` in place of those there are; raises NotUnique."""
    def work(session: orm.Session) -> list[MetadefItem]:
        row = _find(services, session, context, namespace, OF_KIND[kind]["add"])
        if replace:
            _remove_all(session, row, kind)
        made = [MetadefItem(namespace_id=row.id, kind=kind, name=name, body=dict(body))
                for name, body in bodies.items()]
        session.add_all(made)
        session.flush()
        return made

    return _write(services, f"Definition in {kind} of {namespace}", ", ".join(bodies), work)


def update_item(services: Services, context: RequestContext, namespace: str, kind: str, name: str, new_name: str,
                body: Mapping[str, Any]) -> MetadefItem:
    """Replace a definition, perhaps under a new name; raises NotFound and NotUnique."""
    def work(session: orm.Session) -> MetadefItem:
        row = _find(services, session, context, namespace, OF_KIND[kind]["change"])
        item = _find_item(session, row, kind, name)
        item.name, item.body = new_name, dict(body)
        session.flush()
        return item

    return _write(services, f"Definition in {kind} of {namespace}", new_name, work)


def remove_items(services: Services, context: RequestContext, namespace: str, kind: str,
                 name: str | None = None) -> None:
    """Remove one definition, or all of a kind; raises Forbidden in a protected namespace."""
    def work(session: orm.Session) -> None:
        row = _unprotected(_find(services, session, context, namespace, OF_KIND[kind]["remove"]))
        if name is None:
            _remove_all(session, row, kind)
        else:
            session.delete(_find_item(session, row, kind, name))

    services.db.write(work)


def _visible_to(services: Services, context: RequestContext) -> sa.ColumnElement[bool]:
    if services.policy.is_admin(context):
        return sa.true()
    public = MetadefNamespace.visibility == "public"
    return public if context.project_id is None else sa.or_(public, MetadefNamespace.project_id == context.project_id)


def _find(services: Services, session: orm.Session, context: RequestContext, name: str,
          rule: str) -> MetadefNamespace:
    """Return a visible namespace, if the policy lets the caller do this to it."""
    row = session.scalar(sa.select(MetadefNamespace).where(MetadefNamespace.name == name,
                                                           _visible_to(services, context)))
    if row is None:
        raise errors.NotFound(resource="Namespace", id=name)
    services.policy.check(context, rule, {"project_id": row.project_id or "none"})
    return row


def _find_item(session: orm.Session, row: MetadefNamespace, kind: str, name: str) -> MetadefItem:
    found = session.get(MetadefItem, (row.id, kind, name))
    if found is None:
        raise errors.NotFound(resource=f"Definition in {kind} of {row.name}", id=name)
    return found


def _items(session: orm.Session, namespace_ids: Sequence[str], kinds: Iterable[str]) -> Sequence[MetadefItem]:
    if not namespace_ids:
        return []
    return session.scalars(sa.select(MetadefItem).where(
        MetadefItem.namespace_id.in_(namespace_ids), MetadefItem.kind.in_(kinds)).order_by(MetadefItem.name)).all()


def _remove_all(session: orm.Session, row: MetadefNamespace, kind: str) -> None:
    session.execute(sa.delete(MetadefItem).where(MetadefItem.namespace_id == row.id, MetadefItem.kind == kind))


def _unprotected(row: MetadefNamespace) -> MetadefNamespace:
    if row.protected:
        raise errors.Forbidden(f"Metadata definition namespace {row.name} is protected and cannot be deleted.")
    return row


def _owned(session: orm.Session, context: RequestContext, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a namespace's columns; the owner is the caller's project unless another one is named."""
    owner = values.get("project_id") or context.project_id
    project_id = ids.canonical(owner) if owner else None
    if owner and (project_id is None or session.get(Project, project_id) is None):
        raise errors.InvalidField(field="owner", value=str(owner)[:80], reason="There is no such project.")
    return {**values, "project_id": project_id}


def _write(services: Services, what: str, name: str, work: Any) -> Any:
    try:
        return services.db.write(work)
    except exc.IntegrityError as error:
        raise errors.NotUnique(resource=what, id=name) from error
