"""The Image API's version documents; served without a token, for discovery."""

from __future__ import annotations

from typing import Any

import falcon

from api.links import base_url
from api.openstack.resource import Resource
from api.services import Services

# All of them offer everything: import (since v2.6), hidden images and secure hashes (since v2.7) and so on.
_CURRENT = "v2.9"
_SUPPORTED = ("v2.7", "v2.6", "v2.5", "v2.4", "v2.3", "v2.2", "v2.1", "v2.0")


class Versions(Resource):
    """The list of versions, at the face's root (where 300 says: choose) and under /versions."""

    public = True

    def __init__(self, services: Services, status: int) -> None:
        super().__init__(services)
        self._status = status

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List the versions."""
        url = f"{base_url(self.conf, request)}/image/v2/"
        response.status = self._status
        response.media = {"versions": [_document(name, url) for name in (_CURRENT, *_SUPPORTED)]}

    on_head = on_get


class Version(Resource):
    """The one version's document, below its own path."""

    public = True

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """Show the version."""
        response.media = {"version": _document(_CURRENT, f"{base_url(self.conf, request)}/image/v2/")}

    on_head = on_get


def _document(name: str, url: str) -> dict[str, Any]:
    return {"id": name, "status": "CURRENT" if name == _CURRENT else "SUPPORTED",
            "links": [{"rel": "self", "href": url}]}
