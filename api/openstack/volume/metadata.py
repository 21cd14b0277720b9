"""The published face of volumes' metadata. Since 3.15 an ETag and If-Match prevent lost updates."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import falcon
import orjson

from api import bodies
from api.core.volume import metadata as volume_metadata
from api.openstack.resource import Resource
from api.openstack.volume import params, schema
from api.openstack.volume.microversion import since
from hostler import errors

_TAGGED: Final = since(15)


def _one_of(name: str) -> bodies.Validator:
    return bodies.compile_schema({"type": "object", "required": [name], "additionalProperties": False,
                                  "properties": {name: schema.METADATA}})


_CHECK_ALL: Final = _one_of("metadata")
_CHECK_ONE: Final = _one_of("meta")


def _tag_of(items: Mapping[str, str]) -> str:
    return hashlib.sha256(orjson.dumps(dict(items), option=orjson.OPT_SORT_KEYS)).hexdigest()


class Metadata(Resource):
    """GET, POST, PUT /volumes/{id}/metadata."""

    def on_get(self, request: falcon.Request, response: falcon.Response, volume_id: str) -> None:
        """List."""
        self._answer(request, response,
                     volume_metadata.metadata(self.services, params.caller(request), volume_id))

    def on_post(self, request: falcon.Request, response: falcon.Response, volume_id: str) -> None:
        """Merge."""
        self._answer(request, response, self._put(request, volume_id, "create", replace=False))

    def on_put(self, request: falcon.Request, response: falcon.Response, volume_id: str) -> None:
        """Replace."""
        self._answer(request, response, self._put(request, volume_id, "update", replace=True))

    def _put(self, request: falcon.Request, volume_id: str, action: str, *, replace: bool) -> dict[str, str]:
        body = bodies.read_json(request)
        _CHECK_ALL(body)
        wanted = request.get_header("If-Match") if request.context.version in _TAGGED else None

        def check(present: Mapping[str, str]) -> None:
            if wanted is not None and wanted.strip().strip('"') not in ("*", _tag_of(present)):
                raise falcon.HTTPPreconditionFailed(description="The metadata has been changed.")

        return volume_metadata.put_metadata(self.services, params.caller(request), volume_id, body["metadata"],
                                            action=action, replace=replace, check=check)

    def _answer(self, request: falcon.Request, response: falcon.Response, items: Mapping[str, str]) -> None:
        response.media = {"metadata": dict(items)}
        if request.context.version in _TAGGED:
            response.etag = _tag_of(items)


class MetadataItem(Resource):
    """GET, PUT, DELETE /volumes/{id}/metadata/{key}."""

    def on_get(self, request: falcon.Request, response: falcon.Response, volume_id: str, key: str) -> None:
        """Show."""
        items = volume_metadata.metadata(self.services, params.caller(request), volume_id)
        if key not in items:
            raise volume_metadata.missing(key)
        response.media = {"meta": {key: items[key]}}

    def on_put(self, request: falcon.Request, response: falcon.Response, volume_id: str, key: str) -> None:
        """Set."""
        body = bodies.read_json(request)
        _CHECK_ONE(body)
        item: dict[str, Any] = body["meta"]
        if list(item) != [key]:
            raise errors.Invalid(reason="Request body and URI mismatch")
        volume_metadata.put_metadata(self.services, params.caller(request), volume_id, item, action="update")
        response.media = {"meta": item}

    def on_delete(self, request: falcon.Request, response: falcon.Response, volume_id: str, key: str) -> None:
        """Delete."""
        volume_metadata.delete_metadata(self.services, params.caller(request), volume_id, key)
        response.status = 200


ROUTES = (("/volumes/{volume_id}/metadata", Metadata), ("/volumes/{volume_id}/metadata/{key:path}", MetadataItem))
