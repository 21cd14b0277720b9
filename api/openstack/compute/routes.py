"""The whole URL map of the Compute API, below /compute/v2.1. A parameter has one name wherever its place occurs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from api.openstack.compute import (
    aggregates,
    availability_zones,
    extensions,
    external_events,
    flavor_parts,
    flavors,
    hosts,
    hypervisors,
    keypairs,
    quota_sets,
    tenant_usage,
    usage_audit,
    versions,
)
from api.openstack.compute import services as service_resources
from api.openstack.compute.params import ROOT
from api.openstack.compute.proxies import floating_ips, images, networks, removed, security_groups, volumes
from api.openstack.compute.server import (
    actions as server_actions,
)
from api.openstack.compute.server import (
    consoles,
    instance_actions,
    interfaces,
    live_migration,
    servers,
)
from api.openstack.compute.server import (
    groups as server_groups,
)
from api.openstack.compute.server import (
    metadata as server_metadata,
)
from api.openstack.compute.server import (
    migrations as server_migrations,
)
from api.openstack.compute.server import (
    parts as server_parts,
)
from api.openstack.compute.server import (
    volumes as server_volumes,
)
from api.services import Services


def routes(services: Services) -> Iterable[tuple[str, Any]]:
    """Yield (path below the face's prefix, resource)."""
    yield "", versions.Versions(services)
    yield ROOT, versions.VersionItem(services)
    for path, resource in (
            ("/flavors", flavors.Flavors(services)),
            ("/flavors/detail", flavors.FlavorsDetail(services)),
            ("/flavors/{flavor_id}", flavors.FlavorItem(services)),
            ("/flavors/{flavor_id}/action", flavor_parts.FlavorAction(services)),
            ("/flavors/{flavor_id}/os-flavor-access", flavor_parts.FlavorAccess(services)),
            ("/flavors/{flavor_id}/os-extra_specs", flavor_parts.ExtraSpecs(services)),
            ("/flavors/{flavor_id}/os-extra_specs/{key}", flavor_parts.ExtraSpecItem(services)),
            ("/os-keypairs", keypairs.KeyPairs(services)),
            ("/os-keypairs/{keypair_name}", keypairs.KeyPairItem(services)),
            ("/os-quota-sets/{project_id}", quota_sets.QuotaSet(services)),
            ("/os-quota-sets/{project_id}/defaults", quota_sets.QuotaSetDefaults(services)),
            ("/os-quota-sets/{project_id}/detail", quota_sets.QuotaSetDetail(services)),
            ("/os-quota-class-sets/{class_name}", quota_sets.QuotaClassSet(services)),
            ("/limits", quota_sets.Limits(services)),
            ("/os-server-groups", server_groups.ServerGroups(services)),
            ("/os-server-groups/{group_id}", server_groups.ServerGroupItem(services)),
            ("/os-simple-tenant-usage", tenant_usage.Usages(services)),
            ("/os-simple-tenant-usage/{project_id}", tenant_usage.UsageItem(services)),
            ("/os-migrations", server_migrations.Migrations(services)),
            ("/extensions", extensions.Extensions(services)),
            ("/extensions/{alias}", extensions.ExtensionItem(services)),
    ):
        yield ROOT + path, resource
    yield from _routes_of_servers(services)
    yield from _routes_of_modules(services)


def _routes_of_modules(services: Services) -> Iterable[tuple[str, Any]]:
    for module in (aggregates, availability_zones, consoles, external_events, floating_ips, hosts, hypervisors,
                   images, networks, removed, security_groups, service_resources, usage_audit, volumes):
        for path, maker in module.ROUTES:
            yield ROOT + path, maker(services)


def _routes_of_servers(services: Services) -> Iterable[tuple[str, Any]]:
    for path, resource in (
            ("/servers", servers.Servers(services)),
            ("/servers/detail", servers.ServersDetail(services)),
            ("/servers/{server_id}", servers.ServerItem(services)),
            ("/servers/{server_id}/action", server_actions.ServerAction(services)),
            ("/servers/{server_id}/metadata", server_metadata.Metadata(services)),
            ("/servers/{server_id}/metadata/{key}", server_metadata.MetadataItem(services)),
            ("/servers/{server_id}/tags", server_metadata.Tags(services)),
            ("/servers/{server_id}/tags/{tag}", server_metadata.TagItem(services)),
            ("/servers/{server_id}/ips", server_parts.Addresses(services)),
            ("/servers/{server_id}/ips/{network_label}", server_parts.AddressesOnNetwork(services)),
            ("/servers/{server_id}/os-security-groups", server_parts.ServerSecurityGroups(services)),
            ("/servers/{server_id}/os-interface", interfaces.Interfaces(services)),
            ("/servers/{server_id}/os-interface/{port_id}", interfaces.InterfaceItem(services)),
            ("/servers/{server_id}/os-volume_attachments", server_volumes.VolumeAttachments(services)),
            ("/servers/{server_id}/os-volume_attachments/{volume_id}",
             server_volumes.VolumeAttachmentItem(services)),
            ("/servers/{server_id}/os-server-password", server_parts.ServerPassword(services)),
            ("/servers/{server_id}/topology", server_parts.Topology(services)),
            ("/servers/{server_id}/diagnostics", server_parts.Diagnostics(services)),
            ("/servers/{server_id}/migrations", server_migrations.ServerMigrations(services)),
            ("/servers/{server_id}/migrations/{migration_id}", server_migrations.ServerMigrationItem(services)),
            ("/servers/{server_id}/migrations/{migration_id}/action",
             live_migration.ServerMigrationAction(services)),
            ("/servers/{server_id}/os-instance-actions", instance_actions.InstanceActions(services)),
            ("/servers/{server_id}/os-instance-actions/{action_id}", instance_actions.InstanceActionItem(services)),
    ):
        yield ROOT + path, resource
