"""The published face of server groups."""

from __future__ import annotations

from typing import Any, Final

import falcon

from api.core.server import groups as server_groups
from api.openstack.compute import params, schema
from api.openstack.compute.microversion import ALWAYS, Span, Version, since
from api.openstack.compute.schema import Body, Property
from api.openstack.resource import Resource
from hostler import ids
from hostler.query.paging import Query


def _one_of(policies: tuple[str, ...]) -> dict[str, Any]:
    return {"type": "array", "minItems": 1, "maxItems": 1, "items": {"enum": list(policies)}}


_ONE_POLICY: Final = since(64)
_OWNED: Final = since(13)
_RULES = {"type": "object", "additionalProperties": False, "properties": {
    "max_server_per_host": schema.whole_number(1)}}
_BEFORE_15, _BEFORE_64 = Span(until=(2, 14)), Span((2, 15), (2, 63))
_CREATE = Body("server_group", (
    Property("name", schema.NAME, required=ALWAYS),
    Property("policies", _one_of(server_groups.HARD_POLICIES), _BEFORE_15, _BEFORE_15),
    Property("policies", _one_of(server_groups.POLICIES), _BEFORE_64, _BEFORE_64),
    Property("policy", {"enum": list(server_groups.POLICIES)}, _ONE_POLICY, _ONE_POLICY),
    Property("rules", _RULES, _ONE_POLICY)))
_LIST = dict.fromkeys(("all_projects", "limit", "offset"), ALWAYS)


def view(group: server_groups.Group, version: Version) -> dict[str, Any]:
    """Return a group."""
    row = group.row
    shown: dict[str, Any] = {"id": row.id, "name": row.name, "members": list(group.members)}
    if version in _ONE_POLICY:
        shown.update(policy=row.policy, rules=row.rules)
    else:
        shown.update(policies=[row.policy], metadata={})
    if version in _OWNED:
        shown.update(project_id=ids.bare(row.project_id), user_id=ids.bare(row.user_id))
    return shown


class ServerGroups(Resource):
    """GET and POST /os-server-groups."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List."""
        context = params.caller(request)
        found = params.read(request, _LIST)
        everywhere = bool(context.is_admin) and "all_projects" in found and params.truth(
            "all_projects", found["all_projects"][-1] or "true")
        # A limit of 0 means no limit, as published for this list.
        limit = params.number(found, "limit") or self.conf.api.max_limit
        groups = server_groups.list_groups(self.services, context, Query(
            limit=min(limit, self.conf.api.max_limit), offset=params.number(found, "offset"),
            sort=(("created_at", False),), project_id=None if everywhere else context.project_id))
        response.media = {"server_groups": [view(group, request.context.version) for group in groups]}

    def on_post(self, request: falcon.Request, response: falcon.Response) -> None:
        """Create."""
        body = _CREATE.read(request)
        rules = {key: int(value) for key, value in body.get("rules", {}).items()}
        group = server_groups.create(self.services, params.caller(request), name=body["name"], rules=rules,
                                     policy=body["policy"] if "policy" in body else body["policies"][0])
        response.media = {"server_group": view(group, request.context.version)}


class ServerGroupItem(Resource):
    """GET and DELETE /os-server-groups/{id}."""

    def on_get(self, request: falcon.Request, response: falcon.Response, group_id: str) -> None:
        """Show."""
        group = server_groups.show(self.services, params.caller(request), group_id)
        response.media = {"server_group": view(group, request.context.version)}

    def on_delete(self, request: falcon.Request, response: falcon.Response, group_id: str) -> None:
        """Delete."""
        server_groups.delete(self.services, params.caller(request), group_id)
        response.status = 204
