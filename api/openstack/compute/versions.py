"""The version documents, served without a token: GET /compute and GET /compute/v2.1."""

from __future__ import annotations

from typing import Any

import falcon

from api.openstack.compute import params
from api.openstack.compute.microversion import MAXIMUM, MINIMUM, text_of
from api.openstack.resource import Resource

_UPDATED = "2013-07-23T11:33:21Z"  # the day the published API names for v2.1


def document(base: str) -> dict[str, Any]:
    """Return what both documents say of v2.1."""
    return {"id": "v2.1", "status": "CURRENT", "version": text_of(MAXIMUM), "min_version": text_of(MINIMUM),
            "updated": _UPDATED, "links": [{"rel": "self", "href": f"{base}{params.ROOT}/"}]}


class Versions(Resource):
    """GET /compute."""

    public = True

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List the versions."""
        response.media = {"versions": [document(params.base_of(self.conf, request))]}

    on_head = on_get


class VersionItem(Resource):
    """GET /compute/v2.1."""

    public = True

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """Show the version."""
        shown = document(params.base_of(self.conf, request))
        shown["links"] = [*shown["links"], {"rel": "describedby", "type": "text/html",
                                            "href": "http://docs.openstack.org/"}]
        shown["media-types"] = [{"base": "application/json",
                                 "type": "application/vnd.openstack.compute+json;version=2.1"}]
        response.media = {"version": shown}

    on_head = on_get
