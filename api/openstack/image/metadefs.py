"""Metadata definitions: namespaces, and the properties, objects, tags and resource types in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import falcon

from api import names, paging
from api.bodies import read_json
from api.core.image import metadefs as verbs
from api.core.image.metadefs import Described
from api.links import base_url
from api.openstack.image.filters import truth
from api.openstack.image.metadef_schemas import DOCUMENTS, READ_ONLY, VALIDATE, validate_namespace, validate_tags
from api.openstack.resource import Resource
from api.services import Services
from hostler import clock, errors, ids
from hostler.db.models import MetadefItem
from hostler.query.fields import refuse
from hostler.query.paging import Query

_BASE: Final = "/v2/metadefs/namespaces"
_SORTABLE: Final = {"created_at": "created_at", "updated_at": "updated_at", "name": "name"}
_VISIBILITIES: Final = ("public", "private")


class Namespaces(Resource):
    """/v2/metadefs/namespaces"""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List namespaces."""
        visibility = request.get_param("visibility") or None
        if visibility not in (None, *_VISIBILITIES):
            raise refuse("visibility", str(visibility), f"One of {', '.join(_VISIBILITIES)}.")
        types = ",".join(request.get_param_as_list("resource_types") or [])
        page = verbs.list_namespaces(
            self.services, request.context.caller, _query(request, self.conf.api.max_limit, namespace="name"),
            visibility=visibility, resource_types=[name for name in types.split(",") if name])
        body: dict[str, Any] = {"namespaces": [_namespace(row) for row in page.rows], "first": _link(request, None),
                                "schema": "/v2/schemas/metadefs/namespaces"}
        if page.full:
            body["next"] = _link(request, page.rows[-1].namespace.name)
        response.media = body

    def on_post(self, request: falcon.Request, response: falcon.Response) -> None:
        """Create a namespace, with definitions in it."""
        values, items = _read_namespace(request, self.conf.api.max_body_bytes)
        made = verbs.create_namespace(self.services, request.context.caller, values, items)
        response.status = 201
        response.location = f"{base_url(self.conf, request)}/image{_BASE}/{made.namespace.name}"
        response.media = _namespace(made)


class Namespace(Resource):
    """/v2/metadefs/namespaces/{namespace}"""

    def on_get(self, request: falcon.Request, response: falcon.Response, namespace: str) -> None:
        """Show a namespace with all in it; `resource_type` prefixes the names of properties as that type needs."""
        shown = verbs.show_namespace(self.services, request.context.caller, namespace)
        response.media = _namespace(shown, _prefix(shown, request.get_param("resource_type")))

    def on_put(self, request: falcon.Request, response: falcon.Response, namespace: str) -> None:
        """Replace a namespace's attributes."""
        values, _ = _read_namespace(request, self.conf.api.max_body_bytes)
        response.media = _namespace(
            verbs.update_namespace(self.services, request.context.caller, namespace, values))

    def on_delete(self, request: falcon.Request, response: falcon.Response, namespace: str) -> None:
        """Delete a namespace with all in it."""
        verbs.delete_namespace(self.services, request.context.caller, namespace)
        response.status = 204


class ResourceTypes(Resource):
    """/v2/metadefs/resource_types"""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List the resource types that there are."""
        response.media = {"resource_types": [
            {"name": name, "created_at": clock.iso_z(since), "updated_at": clock.iso_z(since)}
            for name, since in verbs.list_resource_types(self.services, request.context.caller)]}


class Items(Resource):
    """/v2/metadefs/namespaces/{namespace}/<kind>"""

    def __init__(self, services: Services, kind: str) -> None:
        super().__init__(services)
        self._kind = kind

    def on_get(self, request: falcon.Request, response: falcon.Response, namespace: str) -> None:
        """List a namespace's definitions of this kind."""
        whole = self._kind in ("properties", "resource_types")  # these have no pages
        query = _query(request, self.conf.api.max_limit) if not whole else Query(sort=(("name", False),))
        page = verbs.list_items(self.services, request.context.caller, namespace, self._kind, query)
        response.media = _LISTS[self._kind](namespace, page.rows)

    def on_post(self, request: falcon.Request, response: falcon.Response, namespace: str) -> None:
        """Add a definition; of tags, several in place of those there are, or beside them (X-Openstack-Append)."""
        body = read_json(request, self.conf.api.max_body_bytes)
        if self._kind == "tags":
            validate_tags(body)
            append = truth("X-Openstack-Append", request.get_header("X-Openstack-Append") or "false")
            made = verbs.add_items(self.services, request.context.caller, namespace, self._kind,
                                   _by_name(body["tags"]), replace=not append)
            response.media = {"tags": [{"name": item.name} for item in made]}
        else:
            name, body = _read_item(self._kind, body)
            [item] = verbs.add_items(self.services, request.context.caller, namespace, self._kind, {name: body})
            response.media = _VIEWS[self._kind](namespace, item)
        response.status = 201

    def on_delete(self, request: falcon.Request, response: falcon.Response, namespace: str) -> None:
        """Remove a namespace's definitions of this kind."""
        if self._kind == "resource_types":
            raise falcon.HTTPMethodNotAllowed(["GET", "POST"])
        verbs.remove_items(self.services, request.context.caller, namespace, self._kind)
        response.status = 204


class Item(Resource):
    """/v2/metadefs/namespaces/{namespace}/<kind>/{name}"""

    def __init__(self, services: Services, kind: str) -> None:
        super().__init__(services)
        self._kind = kind

    def on_get(self, request: falcon.Request, response: falcon.Response, namespace: str, name: str) -> None:
        """Show a definition; a property also by the name that `resource_type` gives it."""
        caller, resource_type = request.context.caller, request.get_param("resource_type")
        if resource_type and self._kind == "properties":
            target = verbs.show_item(self.services, caller, namespace, "resource_types", resource_type)
            prefix = target.body.get("prefix")
            if not prefix or not name.startswith(prefix):
                raise errors.NotFound(resource=f"Property of {namespace} for {resource_type}", id=name)
            name = name.removeprefix(prefix)
        item = verbs.show_item(self.services, caller, namespace, self._kind, name)
        response.media = _VIEWS[self._kind](namespace, item)

    def on_put(self, request: falcon.Request, response: falcon.Response, namespace: str, name: str) -> None:
        """Replace a definition."""
        new_name, body = _read_item(self._kind, read_json(request, self.conf.api.max_body_bytes))
        item = verbs.update_item(self.services, request.context.caller, namespace, self._kind, name, new_name, body)
        response.media = _VIEWS[self._kind](namespace, item)

    def on_delete(self, request: falcon.Request, response: falcon.Response, namespace: str, name: str) -> None:
        """Remove a definition."""
        verbs.remove_items(self.services, request.context.caller, namespace, self._kind, name)
        response.status = 204


class Tag(Item):
    """/v2/metadefs/namespaces/{namespace}/tags/{name}"""

    def on_post(self, request: falcon.Request, response: falcon.Response, namespace: str, name: str) -> None:
        """Add one tag."""
        VALIDATE["tags"]({"name": name})
        [item] = verbs.add_items(self.services, request.context.caller, namespace, self._kind, {name: {}})
        response.status = 201
        response.media = _VIEWS[self._kind](namespace, item)


class ResourceType(Resource):
    """/v2/metadefs/namespaces/{namespace}/resource_types/{name}"""

    def on_delete(self, request: falcon.Request, response: falcon.Response, namespace: str, name: str) -> None:
        """Remove a resource type from a namespace."""
        verbs.remove_items(self.services, request.context.caller, namespace, "resource_types", name)
        response.status = 204


class Schema:
    """One published schema of definitions."""

    def on_get(self, _request: falcon.Request, response: falcon.Response, name: str) -> None:
        """Show the schema; raises NotFound."""
        if name not in DOCUMENTS:
            raise errors.NotFound(resource="Schema", id=name)
        response.media = DOCUMENTS[name]


def _refuse_read_only(body: Any) -> None:
    for name in READ_ONLY:
        if isinstance(body, dict) and name in body:
            raise errors.Forbidden(f"Attribute '{name}' is read-only.")


def _read_namespace(request: falcon.Request,
                    max_bytes: int) -> tuple[dict[str, Any], dict[str, Mapping[str, Mapping[str, Any]]]]:
    """Return a namespace's columns, and the definitions by kind and name."""
    body = read_json(request, max_bytes)
    _refuse_read_only(body)
    validate_namespace(body)
    values = {"name": body["namespace"], "display_name": body.get("display_name"),
              "description": body.get("description"), "visibility": body.get("visibility", "private"),
              "protected": body.get("protected", False), "project_id": body.get("owner")}
    return values, {"resource_types": _by_name(body.get("resource_type_associations", ())),
                    "properties": body.get("properties", {}), "objects": _by_name(body.get("objects", ())),
                    "tags": _by_name(body.get("tags", ()))}


def _read_item(kind: str, body: Any) -> tuple[str, dict[str, Any]]:
    _refuse_read_only(body)
    VALIDATE[kind](body)
    return body["name"], {key: value for key, value in body.items() if key != "name"}


def _by_name(found: Any) -> dict[str, dict[str, Any]]:
    """Return definitions by name; raises NotUnique for a name that comes twice."""
    by_name = {item["name"]: {key: value for key, value in item.items() if key != "name"} for item in found}
    if len(by_name) < len(found):
        raise errors.NotUnique(resource="Definition", id="of the same name")
    return by_name


def _query(request: falcon.Request, maximum: int, **more: str) -> Query:
    asked = paging.sort_of(request, {**_SORTABLE, **more}) or [("created_at", True)]
    marker = request.get_param("marker") or None
    if marker is not None:
        names.check_name("marker", marker)
    return Query(sort=tuple(asked), limit=paging.limit_of(request, maximum), marker=marker,
                 missing=lambda name: errors.NotFound(resource="Marker", id=name[:80]))


def _link(request: falcon.Request, marker: str | None) -> str:
    query = {name: value for name, value in request.params.items() if name != "marker"}
    query |= {} if marker is None else {"marker": marker}
    return _BASE + (falcon.to_query_str(query, prefix=True, comma_delimited_lists=False) if query else "")


def _times(row: Any) -> dict[str, Any]:
    return {"created_at": clock.iso_z(row.created_at), "updated_at": clock.iso_z(row.updated_at)}


def _property(_namespace: str, item: MetadefItem) -> dict[str, Any]:
    return {**item.body, "name": item.name}


def _object(namespace: str, item: MetadefItem) -> dict[str, Any]:
    return {**item.body, "name": item.name, **_times(item),
            "self": f"{_BASE}/{namespace}/objects/{item.name}", "schema": "/v2/schemas/metadefs/object"}


def _dated(_namespace: str, item: MetadefItem) -> dict[str, Any]:
    return {**item.body, "name": item.name, **_times(item)}


_VIEWS: Final = {"properties": _property, "objects": _object, "tags": _dated, "resource_types": _dated}
_LISTS: Final[dict[str, Any]] = {
    "properties": lambda namespace, rows: {"properties": {row.name: _property(namespace, row) for row in rows}},
    "objects": lambda namespace, rows: {"objects": [_object(namespace, row) for row in rows],
                                        "schema": "/v2/schemas/metadefs/objects"},
    "tags": lambda _namespace, rows: {"tags": [{"name": row.name} for row in rows]},
    "resource_types": lambda namespace, rows: {
        "resource_type_associations": [_dated(namespace, row) for row in rows]}}


def _prefix(shown: Described, resource_type: str | None) -> str:
    return next((item.body.get("prefix") or "" for item in shown.of("resource_types") if item.name == resource_type),
                "")


def _namespace(shown: Described, prefix: str = "") -> dict[str, Any]:
    row = shown.namespace
    body: dict[str, Any] = {
        "namespace": row.name, "visibility": row.visibility, "protected": row.protected, **_times(row),
        "self": f"{_BASE}/{row.name}", "schema": "/v2/schemas/metadefs/namespace"}
    optional = {
        "display_name": row.display_name, "description": row.description,
        "owner": ids.bare(row.project_id) if row.project_id else None,
        "resource_type_associations": [_dated(row.name, item) for item in shown.of("resource_types")],
        "properties": {prefix + item.name: _property(row.name, item) | {"name": prefix + item.name}
                       for item in shown.of("properties")},
        "objects": [_object(row.name, item) for item in shown.of("objects")],
        "tags": [{"name": item.name} for item in shown.of("tags")]}
    return {**body, **{name: value for name, value in optional.items() if value not in (None, [], {})}}
