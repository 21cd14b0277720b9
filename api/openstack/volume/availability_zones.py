"""The published face of availability zones: those that have volume services."""

from __future__ import annotations

import falcon

from api.openstack.resource import Resource
from api.openstack.volume import params


class AvailabilityZones(Resource):
    """GET /os-availability-zone."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List."""
        self.services.policy.check(params.caller(request), "volume_extension:availability_zone_list")
        with self.services.db.reading() as session:
            found = self.services.zones.refresh(session)
        response.media = {"availabilityZoneInfo": [
            {"zoneName": name, "zoneState": {"available": available}} for name, available in sorted(found.items())]}


ROUTES = (("/os-availability-zone", AvailabilityZones),)
