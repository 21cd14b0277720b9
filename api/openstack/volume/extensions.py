"""The list of extensions, which old clients ask for."""

from __future__ import annotations

from typing import Any, Final

import falcon

from api.openstack.resource import Resource
from api.openstack.volume import params
from hostler import errors

_POLICY: Final = "volume_extension:extensions"
_UPDATED: Final = "2015-09-16T00:00:00+00:00"
_NAMES: Final = {
    "backups": "Backups", "capabilities": "Capabilities", "os-admin-actions": "AdminActions",
    "os-availability-zone": "AvailabilityZones", "os-extended-services": "ExtendedServices",
    "os-extended-snapshot-attributes": "ExtendedSnapshotAttributes", "os-hosts": "Hosts",
    "os-quota-class-sets": "QuotaClasses", "os-quota-sets": "Quotas", "os-services": "Services",
    "os-snapshot-actions": "SnapshotActions", "os-types-extra-specs": "TypesExtraSpecs",
    "os-types-manage": "TypesManage", "os-used-limits": "UsedLimits", "os-vol-host-attr": "VolumeHostAttribute",
    "os-vol-image-meta": "VolumeImageMetadata", "os-vol-mig-status-attr": "VolumeMigStatusAttribute",
    "os-vol-tenant-attr": "VolumeTenantAttribute", "os-volume-actions": "VolumeActions",
    "os-volume-transfer": "VolumeTransfer", "os-volume-type-access": "VolumeTypeAccess",
    "scheduler-stats": "Scheduler_stats", "OS-SCH-HNT": "SchedulerHints",
}


def view(alias: str) -> dict[str, Any]:
    """Return an extension."""
    name = _NAMES[alias]
    return {"alias": alias, "name": name, "description": f"{name} support.", "updated": _UPDATED, "links": []}


class Extensions(Resource):
    """GET /extensions."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List."""
        self.services.policy.check(params.caller(request), _POLICY)
        response.media = {"extensions": [view(alias) for alias in sorted(_NAMES)]}


class ExtensionItem(Resource):
    """GET /extensions/{alias}."""

    def on_get(self, request: falcon.Request, response: falcon.Response, alias: str) -> None:
        """Show."""
        self.services.policy.check(params.caller(request), _POLICY)
        if alias not in _NAMES:
            raise errors.NotFound(f"Extension with alias {alias[:80]} could not be found.", resource="extension",
                                  id=alias)
        response.media = {"extension": view(alias)}


ROUTES = (("/extensions", Extensions), ("/extensions/{alias}", ExtensionItem))
