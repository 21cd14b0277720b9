"""Parts of the published API that this cloud does not have but clients call without looking at the extensions.

openstacksdk's project cleanup lists VPN providers before it deletes security groups and networks, and gives up at a
404.
"""

from __future__ import annotations

import falcon

from api.openstack.network.resources import Resource


class ServiceProviders(Resource):
    """`/v2.0/service-providers`: providers of VPNs, firewalls, load balancers; always empty."""

    def on_get(self, _request: falcon.Request, response: falcon.Response) -> None:
        """List nothing."""
        response.media = {"service_providers": []}
