"""The published face of volumes' and snapshots' metadata.

Since 3.15 an ETag and If-Match prevent lost updates of a volume's.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Final

import falcon
import orjson

from api import bodies
from api.core.volume import metadata as volume_metadata
from api.core.volume import snapshots
from api.openstack.resource import Resource
from api.openstack.volume import params, schema
from api.openstack.volume.microversion import since
from api.services import Services
from hostler import errors
from hostler.context import RequestContext

_TAGGED: Final = since(15)
_CHECK_ALL: Final = bodies.compile_schema({
    "type": "object", "required": ["metadata"], "additionalProperties": False,
    "properties": {"metadata": schema.METADATA}})
_CHECK_ONE: Final = bodies.compile_schema({
    "type": "object", "required": ["meta"], "additionalProperties": False,
    "properties": {"meta": {**schema.METADATA, "minProperties": 1, "maxProperties": 1}}})
Items = dict[str, str]
Edit = Callable[[Items], Items]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Noun:
    """Whose metadata it is. `read` and `edit` take who asks and an id; `edit` also one of the policies' verbs, and what
    makes the new items of those there are. `merge` is the verb of a POST."""

    read: Callable[[Services, RequestContext, str], Items]
    edit: Callable[[Services, RequestContext, str, str, Edit], Items]
    missing: Callable[[str, str], errors.NotFound]
    merge: str
    etags: bool = False


VOLUME: Final = Noun(read=volume_metadata.metadata, edit=volume_metadata.edit_metadata,
                     missing=lambda _volume_id, key: volume_metadata.missing(key), merge="create", etags=True)
SNAPSHOT: Final = Noun(read=snapshots.metadata, edit=snapshots.edit_metadata, missing=snapshots.metadata_missing,
                       merge="update")


def _tag_of(items: Mapping[str, str]) -> str:
    return hashlib.sha256(orjson.dumps(dict(items), option=orjson.OPT_SORT_KEYS)).hexdigest()


class _Metadata(Resource):
    def __init__(self, services: Services, noun: Noun) -> None:
        super().__init__(services)
        self._noun = noun

    def _edit(self, request: falcon.Request, row_id: str, verb: str, edit: Edit) -> Items:
        return self._noun.edit(self.services, params.caller(request), row_id, verb, edit)


class Metadata(_Metadata):
    """GET, POST, PUT /volumes/{id}/metadata, and of snapshots."""

    def on_get(self, request: falcon.Request, response: falcon.Response, **place: str) -> None:
        """List."""
        self._answer(request, response, self._noun.read(self.services, params.caller(request), *place.values()))

    def on_post(self, request: falcon.Request, response: falcon.Response, **place: str) -> None:
        """Merge."""
        sent, [row_id] = self._sent(request), place.values()
        self._answer(request, response, self._edit(
            request, row_id, self._noun.merge, self._unchanged(request, lambda present: {**present, **sent})))

    def on_put(self, request: falcon.Request, response: falcon.Response, **place: str) -> None:
        """Replace."""
        sent, [row_id] = self._sent(request), place.values()
        self._answer(request, response, self._edit(
            request, row_id, "update", self._unchanged(request, lambda _present: sent)))

    @staticmethod
    def _sent(request: falcon.Request) -> Items:
        body: dict[str, Any] = bodies.read_json(request)
        _CHECK_ALL(body)
        return dict(body["metadata"])

    def _tags(self, request: falcon.Request) -> bool:
        return self._noun.etags and request.context.version in _TAGGED

    def _unchanged(self, request: falcon.Request, edit: Edit) -> Edit:
        """Return `edit`, which first raises HTTPPreconditionFailed when If-Match names other items."""
        wanted = request.get_header("If-Match") if self._tags(request) else None

        def checked(present: Items) -> Items:
            if wanted is not None and wanted.strip().strip('"') not in ("*", _tag_of(present)):
                raise falcon.HTTPPreconditionFailed(description="The metadata has been changed.")
            return edit(present)

        return checked

    def _answer(self, request: falcon.Request, response: falcon.Response, items: Items) -> None:
        response.media = {"metadata": items}
        if self._tags(request):
            response.etag = _tag_of(items)


class MetadataItem(_Metadata):
    """GET, PUT, DELETE /volumes/{id}/metadata/{key}, and of snapshots."""

    def on_get(self, request: falcon.Request, response: falcon.Response, key: str, **place: str) -> None:
        """Show."""
        [row_id] = place.values()
        items = self._noun.read(self.services, params.caller(request), row_id)
        if key not in items:
            raise self._noun.missing(row_id, key)
        response.media = {"meta": {key: items[key]}}

    def on_put(self, request: falcon.Request, response: falcon.Response, key: str, **place: str) -> None:
        """Set."""
        body: dict[str, Any] = bodies.read_json(request)
        [row_id] = place.values()
        _CHECK_ONE(body)
        if key not in body["meta"]:
            raise errors.Invalid(reason="Request body and URI mismatch")
        self._edit(request, row_id, "update", lambda present: {**present, **body["meta"]})
        response.media = {"meta": body["meta"]}

    def on_delete(self, request: falcon.Request, _response: falcon.Response, key: str, **place: str) -> None:
        """Delete."""
        [row_id] = place.values()

        def without(present: Items) -> Items:
            if key not in present:
                raise self._noun.missing(row_id, key)
            return {name: value for name, value in present.items() if name != key}

        self._edit(request, row_id, "delete", without)


ROUTES = tuple((path + below, functools.partial(maker, noun=noun))
               for path, noun in (("/volumes/{volume_id}", VOLUME), ("/snapshots/{snapshot_id}", SNAPSHOT))
               for below, maker in (("/metadata", Metadata), ("/metadata/{key:path}", MetadataItem)))
