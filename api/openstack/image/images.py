"""Images: create, list, show, change, delete; actions and tags."""

from __future__ import annotations

from typing import Any

import falcon

from api.bodies import read_json
from api.core.image import images as verbs
from api.core.image.data import IMPORT_METHODS, STORE_ID
from api.core.image.list import ImageQuery, boolean, list_images
from api.openstack.image.patch import read_changes
from api.openstack.image.schemas import validate_image
from api.openstack.image.views import image_view
from api.openstack.resource import Resource
from api.paging import Page, limit_of
from hostler import errors

_NOT_FILTERS = frozenset({"limit", "marker", "sort", "sort_key", "sort_dir", "visibility", "member_status",
                          "os_hidden"})
_PATH = "/v2/images"


class Images(Resource):
    """/v2/images"""

    def on_post(self, request: falcon.Request, response: falcon.Response) -> None:
        """Create an image."""
        body = read_json(request, self.conf.api.max_body_bytes)
        validate_image(body)
        created = verbs.create_image(self.services, request.context.caller, body)
        response.status = 201
        response.location = f"{request.prefix}/image{_PATH}/{created.image.id}"
        response.set_header("OpenStack-image-import-methods", ",".join(IMPORT_METHODS))
        response.set_header("OpenStack-image-store-ids", STORE_ID)
        response.media = image_view(created)

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List images."""
        page = Page(limit_of(request, self.conf.api.max_limit), request.get_param("marker") or None,
                    _sort(request))
        found = list_images(self.services, request.context.caller, _query(request), page)
        body: dict[str, Any] = {"images": [image_view(tagged) for tagged in found], "schema": "/v2/schemas/images",
                                "first": _link(request, None)}
        if found and len(found) == page.limit:
            body["next"] = _link(request, found[-1].image.id)
        response.media = body


class Image(Resource):
    """/v2/images/{image_id}"""

    def on_get(self, request: falcon.Request, response: falcon.Response, image_id: str) -> None:
        """Show an image."""
        response.media = image_view(verbs.show_image(self.services, request.context.caller, image_id))

    def on_patch(self, request: falcon.Request, response: falcon.Response, image_id: str) -> None:
        """Change an image."""
        changes = read_changes(request.content_type, read_json(request, self.conf.api.max_body_bytes))
        response.media = image_view(verbs.update_image(self.services, request.context.caller, image_id, changes))

    def on_delete(self, request: falcon.Request, response: falcon.Response, image_id: str) -> None:
        """Delete an image."""
        verbs.delete_image(self.services, request.context.caller, image_id)
        response.status = 204


class Action(Resource):
    """/v2/images/{image_id}/actions/{action}"""

    def on_post(self, request: falcon.Request, response: falcon.Response, image_id: str, action: str) -> None:
        """Deactivate or reactivate an image."""
        if action not in ("deactivate", "reactivate"):
            raise errors.NotFound(resource="Action", id=action)
        verbs.set_active(self.services, request.context.caller, image_id, active=action == "reactivate")
        response.status = 204


class Tag(Resource):
    """/v2/images/{image_id}/tags/{tag}"""

    def on_put(self, request: falcon.Request, response: falcon.Response, image_id: str, tag: str) -> None:
        """Add a tag."""
        validate_image({"tags": [tag]})
        verbs.set_tag(self.services, request.context.caller, image_id, tag, present=True)
        response.status = 204

    def on_delete(self, request: falcon.Request, response: falcon.Response, image_id: str, tag: str) -> None:
        """Remove a tag."""
        verbs.set_tag(self.services, request.context.caller, image_id, tag, present=False)
        response.status = 204


def _values(request: falcon.Request, name: str) -> list[str]:
    value = request.params.get(name, [])
    values = [value] if isinstance(value, str) else list(value)
    if any("\0" in text for text in (name, *values)):
        raise errors.InvalidField(field=name, value=values, reason="NUL is no character of a text.")
    return values


def _query(request: falcon.Request) -> ImageQuery:
    filters = [(name, value) for name in request.params if name not in _NOT_FILTERS
               for value in _values(request, name)]
    hidden = request.get_param("os_hidden")
    return ImageQuery(
        filters=filters, visibility=request.get_param("visibility"),
        member_status=request.get_param("member_status") or "accepted",
        hidden=hidden is not None and boolean("os_hidden", hidden))


def _sort(request: falcon.Request) -> tuple[tuple[str, bool], ...]:
    """Return the sort asked for in either spelling: `sort=key:dir,…`, or `sort_key` and `sort_dir`, repeated."""
    combined, keys, directions = (_values(request, name) for name in ("sort", "sort_key", "sort_dir"))
    if combined and (keys or directions):
        raise errors.Invalid(reason="Old and new sorting syntax cannot be combined.")
    if combined:
        pairs = [term.strip().partition(":")[::2] for text in combined for term in text.split(",")]
        return tuple((key, _descending(direction or "desc")) for key, direction in pairs)
    if len(directions) > 1 and len(directions) != len(keys):
        raise errors.Invalid(reason="Number of sort dirs does not match the number of sort keys.")
    if directions and not keys:
        keys = ["created_at"]
    directions = directions or ["desc"]
    if len(directions) == 1:
        directions = directions * len(keys)
    return tuple((key, _descending(direction)) for key, direction in zip(keys, directions, strict=True))


def _descending(direction: str) -> bool:
    if direction not in ("asc", "desc"):
        raise errors.InvalidField(field="sort_dir", value=direction, reason="It must be asc or desc.")
    return direction == "desc"


def _link(request: falcon.Request, marker: str | None) -> str:
    query = {name: value for name, value in request.params.items() if name != "marker"}
    if marker is not None:
        query["marker"] = marker
    text = falcon.to_query_str(query, prefix=True, comma_delimited_lists=False) if query else ""
    return _PATH + text
