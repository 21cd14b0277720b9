"""The whole URL map of the Compute API, below /compute/v2.1. A parameter has one name wherever its place occurs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from api.openstack.compute import (
    flavors,
    instance_actions,
    keypairs,
    server_actions,
    server_metadata,
    server_parts,
    servers,
    versions,
)
from api.openstack.compute.microversion import since
from api.openstack.compute.params import ROOT
from api.services import Services


def routes(services: Services) -> Iterable[tuple[str, Any]]:
    """Yield (path below the face's prefix, resource)."""
    yield "", versions.Versions(services)
    yield ROOT, versions.VersionItem(services)
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
            ("/servers/{server_id}/os-interface", server_parts.Interfaces(services)),
            ("/servers/{server_id}/os-interface/{port_id}", server_parts.InterfaceItem(services)),
            ("/servers/{server_id}/os-volume_attachments", server_parts.VolumeAttachments(services)),
            ("/servers/{server_id}/os-volume_attachments/{volume_id}", server_parts.VolumeAttachmentItem(services)),
            ("/servers/{server_id}/diagnostics", server_parts.Diagnostics(services)),
            ("/servers/{server_id}/migrations", server_parts.ServerMigrations(services)),
            ("/servers/{server_id}/remote-consoles", server_parts.Unfinished(services, "Consoles", since(6))),
            ("/servers/{server_id}/os-instance-actions", instance_actions.InstanceActions(services)),
            ("/servers/{server_id}/os-instance-actions/{action_id}", instance_actions.InstanceActionItem(services)),
            ("/flavors", flavors.Flavors(services)),
            ("/flavors/detail", flavors.FlavorsDetail(services)),
            ("/flavors/{flavor_id}", flavors.FlavorItem(services)),
            ("/os-keypairs", keypairs.KeyPairs(services)),
            ("/os-keypairs/{keypair_name}", keypairs.KeyPairItem(services)),
    ):
        yield ROOT + path, resource
