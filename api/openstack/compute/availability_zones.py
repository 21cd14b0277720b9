"""The published face of availability zones."""

from __future__ import annotations

from typing import Any

import falcon

from api.core.fleet import availability_zones
from api.core.fleet.availability_zones import ZoneShown
from api.openstack.compute import params
from api.openstack.resource import Resource
from hostler import clock


class AvailabilityZones(Resource):
    """GET /os-availability-zone: the zones a server may be put into."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List."""
        found = availability_zones.list_zones(self.services, params.caller(request), detailed=False)
        response.media = {"availabilityZoneInfo": [_view(zone, None) for zone in found]}


class AvailabilityZonesDetail(Resource):
    """GET /os-availability-zone/detail: zone → host → service, for administrators."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List."""
        found = availability_zones.list_zones(self.services, params.caller(request), detailed=True)
        response.media = {"availabilityZoneInfo": [_view(zone, _hosts(zone)) for zone in found]}


def _view(zone: ZoneShown, hosts: dict[str, Any] | None) -> dict[str, Any]:
    return {"zoneName": zone.name, "zoneState": {"available": zone.available}, "hosts": hosts}


def _hosts(zone: ZoneShown) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for service in zone.services:
        found.setdefault(service.host, {})[service.binary] = {
            "active": service.enabled, "available": service.up, "updated_at": clock.iso_micro(service.seen_at)}
    return found


ROUTES = (("/os-availability-zone", AvailabilityZones), ("/os-availability-zone/detail", AvailabilityZonesDetail))
