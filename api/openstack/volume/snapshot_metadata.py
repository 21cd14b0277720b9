"""The published face of snapshots' metadata."""

from __future__ import annotations

from typing import Any, Final

import falcon

from api import bodies
from api.core.volume import snapshot_rows, snapshots
from api.openstack.resource import Resource
from api.openstack.volume import params, schema
from hostler import errors

_ALL: Final = bodies.compile_schema({"type": "object", "required": ["metadata"], "additionalProperties": False,
                                     "properties": {"metadata": schema.METADATA}})
_ONE: Final = bodies.compile_schema({
    "type": "object", "required": ["meta"], "additionalProperties": False,
    "properties": {"meta": {**schema.METADATA, "minProperties": 1, "maxProperties": 1}}})
_READ: Final = "volume:get_snapshot_metadata"
_WRITE: Final = "volume:update_snapshot_metadata"


def _not_found(snapshot_id: str, key: str) -> errors.NotFound:
    return errors.NotFound(f"Metadata item with key {key[:80]} of snapshot {snapshot_id[:80]} could not be found.",
                           resource="metadata", id=key)


class Metadata(Resource):
    """GET, POST, PUT /snapshots/{id}/metadata."""

    def on_get(self, request: falcon.Request, response: falcon.Response, snapshot_id: str) -> None:
        """List."""
        row = snapshot_rows.show(self.services, params.caller(request), snapshot_id, action=_READ)
        response.media = {"metadata": row.extra}

    def on_post(self, request: falcon.Request, response: falcon.Response, snapshot_id: str) -> None:
        """Merge."""
        sent = self._sent(request)
        found = snapshots.edit_metadata(self.services, params.caller(request), snapshot_id, _WRITE,
                                        lambda present: {**present, **sent})
        response.media = {"metadata": found}

    def on_put(self, request: falcon.Request, response: falcon.Response, snapshot_id: str) -> None:
        """Replace."""
        sent = self._sent(request)
        found = snapshots.edit_metadata(self.services, params.caller(request), snapshot_id, _WRITE,
                                        lambda _present: sent)
        response.media = {"metadata": found}

    @staticmethod
    def _sent(request: falcon.Request) -> dict[str, str]:
        body: dict[str, Any] = bodies.read_json(request)
        _ALL(body)
        return dict(body["metadata"])


class MetadataItem(Resource):
    """GET, PUT, DELETE /snapshots/{id}/metadata/{key}."""

    def on_get(self, request: falcon.Request, response: falcon.Response, snapshot_id: str, key: str) -> None:
        """Show."""
        row = snapshot_rows.show(self.services, params.caller(request), snapshot_id, action=_READ)
        if key not in row.extra:
            raise _not_found(snapshot_id, key)
        response.media = {"meta": {key: row.extra[key]}}

    def on_put(self, request: falcon.Request, response: falcon.Response, snapshot_id: str, key: str) -> None:
        """Set."""
        body: dict[str, Any] = bodies.read_json(request)
        _ONE(body)
        if key not in body["meta"]:
            raise errors.Invalid(reason="Request body and URI mismatch")
        snapshots.edit_metadata(self.services, params.caller(request), snapshot_id, _WRITE,
                                lambda present: {**present, **body["meta"]})
        response.media = {"meta": body["meta"]}

    def on_delete(self, request: falcon.Request, _response: falcon.Response, snapshot_id: str, key: str) -> None:
        """Delete."""

        def without(present: dict[str, Any]) -> dict[str, Any]:
            if key not in present:
                raise _not_found(snapshot_id, key)
            return {name: value for name, value in present.items() if name != key}

        snapshots.edit_metadata(self.services, params.caller(request), snapshot_id,
                                "volume:delete_snapshot_metadata", without)


ROUTES = (("/snapshots/{snapshot_id}/metadata", Metadata),
          ("/snapshots/{snapshot_id}/metadata/{key:path}", MetadataItem))
