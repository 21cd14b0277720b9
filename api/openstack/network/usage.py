"""`/v2.0/quotas`, `/v2.0/network-ip-availabilities`, `/v2.0/availability_zones`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import falcon

from api.bodies import compile_schema
from api.core.network import usage as network_usage
from api.core.network.usage import QUOTAS, Availability
from api.openstack.network import filters, queries
from api.openstack.network.resources import Resource
from api.openstack.network.schemas import coerced
from hostler import ids
from hostler.query.expressions import EVERYTHING, Expression

_LIMIT = {"type": "integer", "minimum": -1, "maximum": 2147483647}
_check_quota = compile_schema({
    "type": "object", "required": ["quota"], "additionalProperties": False,
    "properties": {"quota": {
        "type": "object", "additionalProperties": False,
        "properties": {**dict.fromkeys(QUOTAS, _LIMIT), "tenant_id": {"type": "string"},
                       "project_id": {"type": "string"}, "force": {"type": "boolean"},
                       "check_limit": {"type": "boolean"}}}}})


class Quotas(Resource):
    """`/v2.0/quotas`: the projects that have limits of their own."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List them."""
        found = network_usage.projects_with_limits(self.caller(request))
        response.media = {"quotas": [
            {**limits, "tenant_id": ids.bare(project_id), "project_id": ids.bare(project_id)}
            for project_id, limits in found.items()]}


class Quota(Resource):
    """`/v2.0/quotas/{id}`: a project's limits."""

    def on_get(self, request: falcon.Request, response: falcon.Response, id: str) -> None:
        """Show them."""
        response.media = {"quota": network_usage.show_limits(self.caller(request), id)}

    def on_put(self, request: falcon.Request, response: falcon.Response, id: str) -> None:
        """Change them."""
        body: Any = self.body(request)
        if isinstance(body, dict) and isinstance(body.get("quota"), dict):
            body["quota"] = {name: coerced(_LIMIT, value) if name in QUOTAS else value
                             for name, value in body["quota"].items()}
        _check_quota(body)
        caller = self.caller(request)
        network_usage.set_limits(caller, id, {name: limit for name, limit in body["quota"].items() if name in QUOTAS},
                                 within_use=not body["quota"].get("check_limit", False))
        response.media = {"quota": network_usage.show_limits(caller, id)}

    def on_delete(self, request: falcon.Request, response: falcon.Response, id: str) -> None:
        """Go back to the defaults."""
        network_usage.drop_limits(self.caller(request), id)
        response.status = 204


class DefaultQuota(Resource):
    """`/v2.0/quotas/{id}/default`."""

    def on_get(self, request: falcon.Request, response: falcon.Response, id: str) -> None:
        """Show the configured limits."""
        response.media = {"quota": network_usage.default_limits(self.caller(request), id)}


class QuotaDetails(Resource):
    """`/v2.0/quotas/{id}/details`."""

    def on_get(self, request: falcon.Request, response: falcon.Response, id: str) -> None:
        """Show limits and use."""
        response.media = {"quota": network_usage.show_usage(self.caller(request), id)}


class Availabilities(Resource):
    """`/v2.0/network-ip-availabilities`."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List the use of every network's addresses."""
        def keep_subnets(_name: str, values: Sequence[str]) -> Expression:
            versions.extend(values)
            return EVERYTHING

        versions: list[str] = []
        query = queries.read_query(request, self.services.conf.api.max_limit,
                                   {**filters.AVAILABILITY, "ip_version": keep_subnets}, filters.SORT_GROUP)
        found = network_usage.availabilities(self.caller(request), query, versions)
        response.media = {"network_ip_availabilities": [_view(item) for item in found]}


class AvailabilityOf(Resource):
    """`/v2.0/network-ip-availabilities/{id}`."""

    def on_get(self, request: falcon.Request, response: falcon.Response, id: str) -> None:
        """Show the use of one network's addresses."""
        response.media = {"network_ip_availability": _view(network_usage.availability(self.caller(request), id))}


class Zones(Resource):
    """`/v2.0/availability_zones`."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List the zones; networks reach all of them."""
        response.media = {"availability_zones": [
            {"name": name, "resource": "network", "state": "available"}
            for name in network_usage.zone_names(self.caller(request))]}


def _view(item: Availability) -> dict[str, Any]:
    project_id = ids.bare(item.network.project_id)
    return {"network_id": item.network.id, "network_name": item.network.name, "project_id": project_id,
            "tenant_id": project_id, "total_ips": sum(total for _, total, _ in item.subnets),
            "used_ips": sum(used for _, _, used in item.subnets),
            "subnet_ip_availability": [
                {"subnet_id": subnet.id, "subnet_name": subnet.name, "cidr": subnet.cidr,
                 "ip_version": subnet.ip_version, "total_ips": total, "used_ips": used}
                for subnet, total, used in item.subnets]}
