"""The list of extensions, for old clients: those of the published names whose work is done here.

Aliases are the ones that the Compute API shows (its API reference, "Extensions"); what has always been its core, such
as servers and flavors, is not among them.
"""

from __future__ import annotations

from typing import Any, Final

import falcon

from api.openstack.compute import params
from api.openstack.resource import Resource
from hostler import errors

_UPDATED = "2014-12-03T00:00:00Z"  # the published date of all of v2.1's extensions
_ALIASES: Final = {
    "NMN": "Multinic", "OS-DCF": "DiskConfig", "OS-EXT-AZ": "ExtendedAvailabilityZone", "OS-EXT-IMG-SIZE": "ImageSize",
    "OS-EXT-IPS": "ExtendedIps", "OS-EXT-IPS-MAC": "ExtendedIpsMac", "OS-EXT-SRV-ATTR": "ExtendedServerAttributes",
    "OS-EXT-STS": "ExtendedStatus", "OS-FLV-DISABLED": "FlavorDisabled", "OS-FLV-EXT-DATA": "FlavorExtraData",
    "OS-SCH-HNT": "SchedulerHints", "OS-SRV-USG": "ServerUsage", "os-access-ips": "AccessIPs",
    "os-admin-actions": "AdminActions", "os-admin-password": "AdminPassword", "os-aggregates": "Aggregates",
    "os-attach-interfaces": "AttachInterfaces", "os-availability-zone": "AvailabilityZone",
    "os-block-device-mapping": "BlockDeviceMapping", "os-block-device-mapping-v2-boot": "BlockDeviceMappingV2Boot",
    "os-config-drive": "ConfigDrive", "os-console-auth-tokens": "ConsoleAuthTokens",
    "os-console-output": "ConsoleOutput", "os-consoles": "Consoles", "os-create-backup": "CreateBackup",
    "os-create-server-ext": "Createserverext", "os-deferred-delete": "DeferredDelete", "os-evacuate": "Evacuate",
    "os-extended-evacuate-find-host": "ExtendedEvacuateFindHost", "os-extended-floating-ips": "ExtendedFloatingIps",
    "os-extended-hypervisors": "ExtendedHypervisors", "os-extended-networks": "ExtendedNetworks",
    "os-extended-quotas": "ExtendedQuotas", "os-extended-rescue-with-image": "ExtendedRescueWithImage",
    "os-extended-services": "ExtendedServices", "os-extended-services-delete": "ExtendedServicesDelete",
    "os-extended-volumes": "ExtendedVolumes", "os-flavor-access": "FlavorAccess",
    "os-flavor-extra-specs": "FlavorExtraSpecs", "os-flavor-manage": "FlavorManage", "os-flavor-rxtx": "FlavorRxtx",
    "os-flavor-swap": "FlavorSwap", "os-floating-ip-pools": "FloatingIpPools", "os-floating-ips": "FloatingIps",
    "os-hosts": "Hosts", "os-hypervisor-status": "HypervisorStatus", "os-hypervisors": "Hypervisors",
    "os-instance-actions": "InstanceActions", "os-instance_usage_audit_log": "InstanceUsageAuditLog",
    "os-keypairs": "Keypairs", "os-lock-server": "LockServer", "os-migrate-server": "MigrateServer",
    "os-migrations": "Migrations", "os-multiple-create": "MultipleCreate", "os-networks": "Networks",
    "os-pause-server": "PauseServer", "os-quota-class-sets": "QuotaClasses", "os-quota-sets": "Quotas",
    "os-rescue": "Rescue", "os-security-groups": "SecurityGroups", "os-server-diagnostics": "ServerDiagnostics",
    "os-server-external-events": "ServerExternalEvents", "os-server-group-quotas": "ServerGroupQuotas",
    "os-server-groups": "ServerGroups", "os-server-list-multi-status": "ServerListMultiStatus",
    "os-server-password": "ServerPassword", "os-server-sort-keys": "ServerSortKeys",
    "os-server-start-stop": "ServerStartStop", "os-services": "Services", "os-shelve": "Shelve",
    "os-simple-tenant-usage": "SimpleTenantUsage", "os-suspend-server": "SuspendServer",
    "os-tenant-networks": "OSTenantNetworks", "os-used-limits": "UsedLimits",
    "os-used-limits-for-admin": "UsedLimitsForAdmin", "os-user-data": "UserData",
    "os-volume-attachment-update": "VolumeAttachmentUpdate", "os-volumes": "Volumes",
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
