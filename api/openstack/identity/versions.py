"""Version documents; served without a token."""

from __future__ import annotations

from typing import Any

import falcon

from api.openstack.identity.rendering import root
from api.openstack.resource import Resource
from api.services import Services

_UPDATED = "2026-01-01T00:00:00Z"


def _document(services: Services, request: falcon.Request) -> dict[str, Any]:
    return {"id": "v3.14", "status": "stable", "updated": _UPDATED,
            "links": [{"rel": "self", "href": root(services.conf, request) + "/"}],
            "media-types": [{"base": "application/json", "type": "application/vnd.openstack.identity-v3+json"}]}


class Versions(Resource):
    """Which versions there are."""

    public = True

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """Answer 300, as discovery expects."""
        response.status = 300
        response.media = {"versions": {"values": [_document(self.services, request)]}}

    on_head = on_get


class Version(Resource):
    """The one version there is."""

    public = True

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """Describe it."""
        response.media = {"version": _document(self.services, request)}

    on_head = on_get
