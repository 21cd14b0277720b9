"""Parts of the published API that this cloud does not have but clients call without looking at the extensions.

openstacksdk's project cleanup lists VPN providers and floating IPs before it deletes security groups and networks, and
gives up at a 404.
"""

from __future__ import annotations

import falcon

from api.openstack.network.resources import Resource
from hostler import errors


class ServiceProviders(Resource):
    """`/v2.0/service-providers`: providers of VPNs, firewalls, load balancers; always empty."""

    def on_get(self, _request: falcon.Request, response: falcon.Response) -> None:
        """List nothing."""
        response.media = {"service_providers": []}


class FloatingIps(Resource):
    """`/v2.0/floatingips`: there are none."""

    def on_get(self, _request: falcon.Request, response: falcon.Response) -> None:
        """List nothing."""
        response.media = {"floatingips": []}

    def on_post(self, _request: falcon.Request, _response: falcon.Response) -> None:
        """Refuse."""
        raise errors.NotImplementedHere(feature="A floating IP")


class FloatingIp(Resource):
    """`/v2.0/floatingips/{id}`."""

    def on_get(self, _request: falcon.Request, _response: falcon.Response, id: str) -> None:
        """Find nothing."""
        raise errors.NotFound(f"Floating IP {id} could not be found", resource="floating IP", id=id)

    on_put = on_delete = on_get
