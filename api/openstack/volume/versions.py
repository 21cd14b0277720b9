"""The version documents, served without a token: GET /volume and GET /volume/v3."""

from __future__ import annotations

from typing import Any

import falcon

from api.openstack.resource import Resource
from api.openstack.volume import params
from api.openstack.volume.microversion import MAXIMUM, MINIMUM, text_of

_UPDATED = "2023-08-31T00:00:00Z"  # the day the published API names for 3.71


def document(base: str) -> dict[str, Any]:
    """Return what both documents say of v3."""
    return {"versions": [{
        "id": "v3.0", "status": "CURRENT", "version": text_of(MAXIMUM), "min_version": text_of(MINIMUM),
        "updated": _UPDATED,
        "links": [{"rel": "describedby", "type": "text/html", "href": "https://docs.openstack.org/"},
                  {"rel": "self", "href": f"{base}{params.ROOT}/"}],
        "media-types": [{"base": "application/json",
                         "type": "application/vnd.openstack.volume+json;version=3"}]}]}


class Versions(Resource):
    """GET /volume: the choice of versions, of which there is one."""

    public = True

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List the versions."""
        response.status = 300
        response.media = document(params.base_of(self.conf, request))

    on_head = on_get


class VersionItem(Resource):
    """GET /volume/v3."""

    public = True

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """Show the version."""
        response.media = document(params.base_of(self.conf, request))

    on_head = on_get
