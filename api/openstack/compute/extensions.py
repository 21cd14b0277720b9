"""The list of extensions, for old clients."""

from __future__ import annotations

from typing import Any, Final

import falcon

from api.openstack.compute import params
from api.openstack.resource import Resource
from hostler import errors

_UPDATED = "2014-12-03T00:00:00Z"  # the published date of all of v2.1's extensions
_ALIASES: Final = {
    "servers": "Servers", "flavors": "Flavors", "flavor-manage": "FlavorManage", "os-flavor-access": "FlavorAccess",
    "os-flavor-extra-specs": "FlavorExtraSpecs", "os-keypairs": "Keypairs", "limits": "Limits",
    "os-quota-sets": "Quotas", "os-quota-class-sets": "QuotaClasses", "os-server-groups": "ServerGroups",
    "os-instance-actions": "InstanceActions", "os-attach-interfaces": "AttachInterfaces", "ips": "Ips",
    "server-metadata": "ServerMetadata", "os-server-diagnostics": "ServerDiagnostics",
    "os-console-output": "ConsoleOutput", "os-lock-server": "LockServer", "os-pause-server": "PauseServer",
    "os-suspend-server": "SuspendServer", "os-admin-actions": "AdminActions", "os-deferred-delete": "DeferredDelete",
    "os-security-groups": "SecurityGroups", "os-simple-tenant-usage": "SimpleTenantUsage",
    "os-availability-zone": "AvailabilityZone", "os-aggregates": "Aggregates", "os-hypervisors": "Hypervisors",
    "os-volumes": "Volumes", "os-hosts": "Hosts", "os-networks": "Networks", "os-tenant-networks": "OSTenantNetworks",
    "os-floating-ips": "FloatingIps", "os-floating-ip-pools": "FloatingIpPools",
    "os-services": "Services", "os-user-data": "UserData", "os-config-drive": "ConfigDrive",
    "os-multiple-create": "MultipleCreate", "os-scheduler-hints": "SchedulerHints", "os-extended-status":
    "ExtendedStatus", "os-extended-availability-zone": "ExtendedAvailabilityZone", "os-server-usage": "ServerUsage",
}


def view(alias: str) -> dict[str, Any]:
    """Return an extension."""
    name = _ALIASES[alias]
    return {"alias": alias, "name": name, "description": name, "updated": _UPDATED, "links": [],
            "namespace": "http://docs.openstack.org/compute/ext/fake_xml"}


class Extensions(Resource):
    """GET /extensions."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List."""
        self.services.policy.check(params.caller(request), "os_compute_api:extensions")
        response.media = {"extensions": [view(alias) for alias in sorted(_ALIASES)]}


class ExtensionItem(Resource):
    """GET /extensions/{alias}."""

    def on_get(self, request: falcon.Request, response: falcon.Response, alias: str) -> None:
        """Show."""
        self.services.policy.check(params.caller(request), "os_compute_api:extensions")
        if alias not in _ALIASES:
            raise errors.NotFound(f"Extension with alias {alias} could not be found.", resource="extension", id=alias)
        response.media = {"extension": view(alias)}
