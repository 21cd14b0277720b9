"""Images: create, list, show, change, delete; actions and tags."""

from __future__ import annotations

from typing import Any

import falcon

from api.bodies import read_json
from api.core.image import images as verbs
from api.core.image.data import IMPORT_METHODS, STORE_ID
from api.core.image.list import list_images
from api.links import base_url
from api.openstack.image.filters import read_query
from api.openstack.image.patch import read_changes
from api.openstack.image.schemas import validate_image
from api.openstack.image.views import image_view
from api.openstack.resource import Resource
from hostler import errors

_PATH = "/v2/images"


class Images(Resource):
    """/v2/images"""

    def on_post(self, request: falcon.Request, response: falcon.Response) -> None:
        """Create an image."""
        body = read_json(request, self.conf.api.max_body_bytes)
        validate_image(body)
        created = verbs.create_image(self.services, request.context.caller, body)
        response.status = 201
        response.location = f"{base_url(self.conf, request)}/image{_PATH}/{created.image.id}"
        response.set_header("OpenStack-image-import-methods", ",".join(IMPORT_METHODS))
        response.set_header("OpenStack-image-store-ids", STORE_ID)
        response.media = image_view(created)

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List images."""
        query = read_query(request, self.conf.api.max_limit)
        page = list_images(self.services, request.context.caller, query)
        body: dict[str, Any] = {"images": [image_view(tagged) for tagged in page.rows],
                                "schema": "/v2/schemas/images", "first": _link(request, None)}
        if page.full:
            body["next"] = _link(request, page.rows[-1].image.id)
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


class Tasks(Resource):
    """/v2/images/{image_id}/tasks"""

    def on_get(self, request: falcon.Request, response: falcon.Response, image_id: str) -> None:
        """List none: an import is done when it is answered."""
        verbs.show_image(self.services, request.context.caller, image_id)
        response.media = {"tasks": []}


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


def _link(request: falcon.Request, marker: str | None) -> str:
    query = {name: value for name, value in request.params.items() if name != "marker"}
    if marker is not None:
        query["marker"] = marker
    text = falcon.to_query_str(query, prefix=True, comma_delimited_lists=False) if query else ""
    return _PATH + text
