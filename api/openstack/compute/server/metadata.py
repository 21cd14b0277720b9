"""The published face of servers' metadata and tags."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import falcon

from api import bodies
from api.core.server import metadata as server_metadata
from api.openstack.compute import params, schema
from api.openstack.compute.microversion import available, since
from api.openstack.resource import Resource
from hostler import errors

_TAGS_EXIST = since(26)
_CHECK_TAG = bodies.compile_schema(schema.TAG)


class Metadata(Resource):
    """GET, POST, PUT /servers/{id}/metadata."""

    def on_get(self, request: falcon.Request, response: falcon.Response, server_id: str) -> None:
        """List."""
        response.media = {"metadata": server_metadata.metadata(self.services, params.caller(request), server_id)}

    def on_post(self, request: falcon.Request, response: falcon.Response, server_id: str) -> None:
        """Merge."""
        response.media = {"metadata": self._put(request, server_id, "create", replace=False)}

    def on_put(self, request: falcon.Request, response: falcon.Response, server_id: str) -> None:
        """Replace."""
        response.media = {"metadata": self._put(request, server_id, "update_all", replace=True)}

    def _put(self, request: falcon.Request, server_id: str, action: str, *, replace: bool) -> dict[str, str]:
        items = schema.read_simple(request, "metadata", "metadata")
        return server_metadata.put_metadata(self.services, params.caller(request), server_id, items, action=action,
                                            replace=replace)


class MetadataItem(Resource):
    """GET, PUT, DELETE /servers/{id}/metadata/{key}."""

    def on_get(self, request: falcon.Request, response: falcon.Response, server_id: str, key: str) -> None:
        """Show."""
        items = server_metadata.metadata(self.services, params.caller(request), server_id, item=True)
        if key not in items:
            raise server_metadata.missing(key)
        response.media = {"meta": {key: items[key]}}

    def on_put(self, request: falcon.Request, response: falcon.Response, server_id: str, key: str) -> None:
        """Set."""
        item: dict[str, Any] = schema.read_simple(request, "meta", "metadata")
        if list(item) != [key]:
            raise errors.Invalid(reason="Request body and URI mismatch")
        server_metadata.put_metadata(self.services, params.caller(request), server_id, item, action="update")
        response.media = {"meta": item}

    def on_delete(self, request: falcon.Request, response: falcon.Response, server_id: str, key: str) -> None:
        """Delete."""
        server_metadata.delete_metadata(self.services, params.caller(request), server_id, key)
        response.status = 204


class Tags(Resource):
    """GET, PUT, DELETE /servers/{id}/tags."""

    @available(_TAGS_EXIST)
    def on_get(self, request: falcon.Request, response: falcon.Response, server_id: str) -> None:
        """List."""
        response.media = {"tags": list(server_metadata.tags(self.services, params.caller(request), server_id))}

    @available(_TAGS_EXIST)
    def on_put(self, request: falcon.Request, response: falcon.Response, server_id: str) -> None:
        """Replace."""
        wanted = schema.read_simple(request, "tags", "tags")
        response.media = {"tags": list(server_metadata.replace_tags(self.services, params.caller(request), server_id,
                                                                    wanted))}

    @available(_TAGS_EXIST)
    def on_delete(self, request: falcon.Request, response: falcon.Response, server_id: str) -> None:
        """Delete all."""
        server_metadata.replace_tags(self.services, params.caller(request), server_id, ())
        response.status = 204


class TagItem(Resource):
    """GET, PUT, DELETE /servers/{id}/tags/{tag}."""

    @available(_TAGS_EXIST)
    def on_get(self, request: falcon.Request, response: falcon.Response, server_id: str, tag: str) -> None:
        """Check."""
        if tag not in server_metadata.tags(self.services, params.caller(request), server_id, item=True):
            raise server_metadata.tag_missing(server_id, tag)
        response.status = 204

    @available(_TAGS_EXIST)
    def on_put(self, request: falcon.Request, response: falcon.Response, server_id: str, tag: str) -> None:
        """Add; 201 when it is new."""
        _CHECK_TAG(tag)
        new = server_metadata.add_tag(self.services, params.caller(request), server_id, tag)
        response.status = 201 if new else 204
        if new:
            base = params.base_of(self.conf, request)
            response.set_header("Location", f"{base}{params.ROOT}/servers/{server_id}/tags/{quote(tag, safe='')}")

    @available(_TAGS_EXIST)
    def on_delete(self, request: falcon.Request, response: falcon.Response, server_id: str, tag: str) -> None:
        """Delete."""
        server_metadata.delete_tag(self.services, params.caller(request), server_id, tag)
        response.status = 204
