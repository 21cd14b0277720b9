"""The published face of quota sets, quota classes and limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import falcon

from api import bodies
from api.core.volume import quotas as volume_quotas
from api.microversions import ALWAYS
from api.openstack.resource import Resource
from api.openstack.volume import params, schema
from hostler import errors
from hostler.resources import quota

# Sets may hold these beside limits; clients send them back as they got them.
_BESIDE: Final = ("id", "tenant_id", "project_id", "force")
_LIMIT: Final = {"type": ["integer", "string"], "pattern": "^-?[0-9]{1,10}$", "minimum": -1, "maximum": 2147483647}


def _sets(member: str) -> bodies.Validator:
    inner = {"type": "object", "minProperties": 1, "propertyNames": {"maxLength": 300},
             "properties": dict.fromkeys(_BESIDE, {}), "additionalProperties": _LIMIT}
    return bodies.compile_schema({"type": "object", "required": [member], "additionalProperties": False,
                                  "properties": {member: inner}})


_CHECK: Final = _sets("quota_set")
_CHECK_CLASS: Final = _sets("quota_class_set")


def _changes(body: Mapping[str, Any]) -> dict[str, int]:
    return {name: schema.number_in(body, name, 0, -1) for name in body if name not in _BESIDE}


class QuotaSet(Resource):
    """GET, PUT, DELETE /os-quota-sets/{project}."""

    def on_get(self, request: falcon.Request, response: falcon.Response, quota_project_id: str) -> None:
        """Show the limits, with `usage` also what is used of them."""
        usage = params.truth("usage", params.one(params.read(request, {"usage": ALWAYS}), "usage"))
        found = volume_quotas.show(self.services, params.caller(request), quota_project_id)
        shown = found.limits if not usage else {
            name: {"limit": limit, "in_use": found.used.get(name, 0), "reserved": 0, "allocated": 0}
            for name, limit in found.limits.items()}
        response.media = {"quota_set": {"id": quota_project_id, **shown}}

    def on_put(self, request: falcon.Request, response: falcon.Response, quota_project_id: str) -> None:
        """Change."""
        body = bodies.read_json(request)
        _CHECK(body)
        found = volume_quotas.update(self.services, params.caller(request), quota_project_id,
                                     _changes(body["quota_set"]))
        response.media = {"quota_set": dict(found)}

    def on_delete(self, request: falcon.Request, _response: falcon.Response, quota_project_id: str) -> None:
        """Give the defaults."""
        volume_quotas.reset(self.services, params.caller(request), quota_project_id)


class QuotaSetDefaults(Resource):
    """GET /os-quota-sets/{project}/defaults."""

    def on_get(self, request: falcon.Request, response: falcon.Response, quota_project_id: str) -> None:
        """Show."""
        found = volume_quotas.defaults(self.services, params.caller(request), quota_project_id)
        response.media = {"quota_set": {"id": quota_project_id, **found}}


class QuotaClassSet(Resource):
    """GET and PUT /os-quota-class-sets/{class}: the only class is `default`, that of projects without own limits."""

    def on_get(self, request: falcon.Request, response: falcon.Response, class_name: str) -> None:
        """Show."""
        context = params.caller(request)
        self.services.policy.check(context, "volume_extension:quota_classes:get")
        response.media = {"quota_class_set": {"id": class_name, **volume_quotas.read_defaults(self.services, context)}}

    def on_put(self, request: falcon.Request, response: falcon.Response, class_name: str) -> None:
        """Change."""
        context = params.caller(request)
        self.services.policy.check(context, "volume_extension:quota_classes:update")
        body = bodies.read_json(request)
        _CHECK_CLASS(body)
        if class_name != quota.DEFAULTS:
            raise errors.NotImplementedHere(feature=f"The quota class {class_name[:80]}, as any but default,")
        found = volume_quotas.update_defaults(self.services, context, _changes(body["quota_class_set"]))
        response.media = {"quota_class_set": dict(found)}


# Published limit → (our resource, whether it is the use of it).
_ABSOLUTE: Final = {
    "maxTotalVolumes": ("volumes", False), "totalVolumesUsed": ("volumes", True),
    "maxTotalVolumeGigabytes": ("gigabytes", False), "totalGigabytesUsed": ("gigabytes", True),
    "maxTotalSnapshots": ("snapshots", False), "totalSnapshotsUsed": ("snapshots", True),
    "maxTotalBackups": ("backups", False), "totalBackupsUsed": ("backups", True),
    "maxTotalBackupGigabytes": ("backup_gigabytes", False), "totalBackupGigabytesUsed": ("backup_gigabytes", True),
}


class Limits(Resource):
    """GET /limits."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """Show."""
        found = params.read(request, {"project_id": ALWAYS, "tenant_id": ALWAYS})
        project = params.one(found, "project_id") or params.one(found, "tenant_id")
        quota = volume_quotas.limits_of(self.services, params.caller(request), project)
        response.media = {"limits": {"rate": [], "absolute": {
            name: quota.used[resource] if used else quota.limits[resource]
            for name, (resource, used) in _ABSOLUTE.items()}}}


ROUTES = (("/os-quota-sets/{quota_project_id}", QuotaSet),
          ("/os-quota-sets/{quota_project_id}/defaults", QuotaSetDefaults),
          ("/os-quota-class-sets/{class_name}", QuotaClassSet), ("/limits", Limits))
