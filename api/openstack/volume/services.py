"""The published face of services, hosts, pools and what back ends can do."""

from __future__ import annotations

import importlib.metadata
from typing import Any, Final

import falcon

from api import bodies
from api.core.volume import pools
from api.core.volume import services as volume_services
from api.core.volume.pools import Pool
from api.core.volume.services import VolumeServiceShown
from api.microversions import ALWAYS, Version
from api.openstack.resource import Resource
from api.openstack.volume import params, schema
from api.openstack.volume.microversion import available, since
from hostler import clock, errors
from hostler.db.models import Backend
from hostler.resources.volume.capabilities import VENDOR, stated

_VERSION: Final = next(iter(importlib.metadata.Distribution.discover(name="hostler"))).version
_CLUSTERS: Final = since(7)
_BACKEND_STATE: Final = since(49)
_REFUSING: Final = since(31)
POOL_FILTERS: Final = {"name": since(28), "volume_type": since(35)}
_LIST: Final = {"host": ALWAYS, "binary": ALWAYS, "service": ALWAYS}
_HOST: Final = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[a-zA-Z0-9-._#@:/+\[\]]*$"}
_PROPERTIES: Final = {"host": _HOST, "binary": schema.TEXT, "service": schema.TEXT, "cluster": schema.NAME_OR_NULL}
_NAMED: Final = {"type": "object", "required": ["host"], "additionalProperties": False,
                 "anyOf": [{"required": ["binary"]}, {"required": ["service"]}]}
_CHECK: Final = bodies.compile_schema({**_NAMED, "properties": _PROPERTIES})
_CHECK_REASON: Final = bodies.compile_schema({**_NAMED, "properties": {**_PROPERTIES, "disabled_reason": schema.TEXT}})
# How nodes reach each other's volumes concerns nobody outside.
_INTERNAL: Final = ("connector",)
_FREEZE: Final = bodies.compile_schema({"type": "object", "additionalProperties": False, "required": ["host"],
                                       "properties": {"host": _HOST, "cluster": {"type": "null"}}})
_ABSENT: Final = ("failover_host", "failover", "set-log", "get-log")


def view(service: VolumeServiceShown, version: Version) -> dict[str, Any]:
    """Return a service as the version shows it."""
    shown: dict[str, Any] = {
        "binary": service.binary, "host": service.host, "zone": service.zone,
        "status": "enabled" if service.enabled else "disabled", "state": "up" if service.up else "down",
        "updated_at": clock.iso_micro(service.seen_at), "disabled_reason": service.disabled_reason}
    if service.binary == volume_services.VOLUME:
        shown.update(replication_status="disabled", active_backend_id=None, frozen=service.frozen)
        if version in _BACKEND_STATE:
            shown["backend_state"] = "up" if service.backend_up else "down"
    return {**shown, "cluster": None} if version in _CLUSTERS else shown


class ServiceList(Resource):
    """GET /os-services."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List."""
        found = params.read(request, _LIST)
        rows = volume_services.list_services(
            self.services, params.caller(request), host=params.one(found, "host") or None,
            binary=params.one(found, "binary") or params.one(found, "service") or None)
        response.media = {"services": [view(row, request.context.version) for row in rows]}


class ServiceAction(Resource):
    """PUT /os-services/{action}: enable, disable, disable-log-reason, freeze, thaw."""

    def on_put(self, request: falcon.Request, response: falcon.Response, action: str) -> None:
        """Change."""
        context = params.caller(request)
        if action in _ABSENT:
            volume_services.check_known(self.services, context, str(bodies.read_json(request).get("host") or ""))
            raise errors.NotImplementedHere(feature=f"The service action {action}")
        if action in ("freeze", "thaw"):
            named: dict[str, Any] = bodies.read_json(request)
            _FREEZE(named)
            volume_services.freeze(self.services, context, named["host"], frozen=action == "freeze")
            response.status = 202
            return
        if action not in ("enable", "disable", "disable-log-reason"):
            raise errors.NotFound("Unknown action", resource="action", id=action[:80])
        body: dict[str, Any] = bodies.read_json(request)
        (_CHECK_REASON if action == "disable-log-reason" else _CHECK)(body)
        binary, reason = body.get("binary") or body["service"], body.get("disabled_reason")
        if action == "disable-log-reason" and reason is None:
            raise errors.Invalid(reason="Disabled reason contains invalid characters or is too long.")
        volume_services.change(self.services, context, body["host"], binary, enabled=action == "enable", reason=reason)
        answer = {"host": body["host"], "service": binary, "binary": binary, "disabled": action != "enable",
                  "status": "enabled" if action == "enable" else "disabled"}
        response.media = {**answer, "disabled_reason": reason} if reason is not None else answer


class Hosts(Resource):
    """GET /os-hosts."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List every service as a host, as the published API does."""
        context = params.caller(request)
        self.services.policy.check(context, "volume_extension:hosts")
        rows = volume_services.list_services(self.services, context)
        response.media = {"hosts": [
            {"host_name": row.host, "service": row.binary, "zone": row.zone,
             "service-status": "available" if row.up else "unavailable",
             "service-state": "enabled" if row.enabled else "disabled",
             "last-update": clock.iso_micro(row.seen_at)} for row in rows]}


class HostItem(Resource):
    """GET /os-hosts/{host}."""

    def on_get(self, request: falcon.Request, response: falcon.Response, host: str) -> None:
        """Show what a back end holds, in all and by project."""
        rows = volume_services.show_host(self.services, params.caller(request), host)
        response.media = {"host": [{"resource": {
            "host": host, "project": row.project_id, "volume_count": str(row.volumes),
            "total_volume_gb": str(row.volume_gib), "snapshot_count": str(row.snapshots),
            "total_snapshot_gb": str(row.snapshot_gib)}} for row in rows]}


def pool_view(pool: Pool, *, detailed: bool) -> dict[str, Any]:
    """Return a pool by name, or with what it offers."""
    if not detailed:
        return {"name": pool.name}
    row = pool.backend
    return {"name": pool.name, "capabilities": {
        **stated(row.name, _shown_capabilities(row)), "driver_version": _VERSION,
        "pool_name": row.name, "driver": row.driver, "availability_zone": pool.zone,
        "total_capacity_gb": row.total_gib, "free_capacity_gb": row.free_gib,
        "allocated_capacity_gb": pool.used_gib, "provisioned_capacity_gb": pool.used_gib,
        "reserved_percentage": row.reserved_percent, "max_over_subscription_ratio": str(row.over_subscription),
        "thin_provisioning_support": bool(row.capabilities.get("thin_provisioning")),
        "total_volumes": pool.volumes, "backend_state": "up" if row.healthy and pool.up else "down",
        "timestamp": clock.iso_micro(pool.seen_at)}}


def _shown_capabilities(row: Backend) -> dict[str, Any]:
    return {key: value for key, value in sorted(row.capabilities.items()) if key not in _INTERNAL}


class Pools(Resource):
    """GET /scheduler-stats/get_pools."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List."""
        found = params.read(request, {"detail": ALWAYS, **POOL_FILTERS})
        unknown = [name for name in request.params if name not in ("detail", *POOL_FILTERS)]
        if unknown and request.context.version in _REFUSING:
            raise errors.Invalid(reason=f"Invalid filters {','.join(unknown)[:200]} are found in query options.")
        detailed = params.truth("detail", params.one(found, "detail"))
        rows = pools.list_pools(self.services, params.caller(request), name=params.one(found, "name"),
                                volume_type=params.one(found, "volume_type"))
        response.media = {"pools": [pool_view(row, detailed=detailed) for row in rows]}


class Capabilities(Resource):
    """GET /capabilities/{host}."""

    def on_get(self, request: falcon.Request, response: falcon.Response, host: str) -> None:
        """Show what a back end can do."""
        pool = pools.show_backend(self.services, params.caller(request), host)
        row = pool.backend
        name = pool.name.partition("#")[0]
        response.media = {
            "namespace": f"OS::Storage::Capabilities::{name}", "vendor_name": VENDOR, "pool_name": row.name,
            "volume_backend_name": row.capabilities.get("volume_backend_name", row.name), "driver_version": _VERSION,
            "storage_protocol": row.capabilities.get("storage_protocol"), "display_name": row.name,
            "description": row.description, "visibility": "public", "replication_targets": [],
            "properties": {key: {"title": key, "description": "", "type": type(value).__name__, "default": value}
                           for key, value in _shown_capabilities(row).items()}}


class WorkersCleanup(Resource):
    """POST /workers/cleanup: operations are resumed by another service automatically."""

    @available(since(24))
    def on_post(self, request: falcon.Request, response: falcon.Response) -> None:
        """Answer that there is nothing to clean up."""
        self.services.policy.check(params.caller(request), "workers:cleanup")
        bodies.read_json(request)
        response.status = 202
        response.media = {"cleaning": [], "unavailable": []}

    on_put = on_post  # some clients ask so


ROUTES = (("/os-services", ServiceList), ("/os-services/{action}", ServiceAction), ("/os-hosts", Hosts),
          ("/os-hosts/{host}", HostItem),
          ("/scheduler-stats/get_pools", Pools), ("/capabilities/{host}", Capabilities),
          ("/workers/cleanup", WorkersCleanup))
