"""The whole URL map of the Compute API, below /compute/v2.1. A parameter has one name wherever its place occurs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from api.openstack.compute import flavors, keypairs, servers, versions
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
            ("/flavors", flavors.Flavors(services)),
            ("/flavors/detail", flavors.FlavorsDetail(services)),
            ("/flavors/{flavor_id}", flavors.FlavorItem(services)),
            ("/os-keypairs", keypairs.KeyPairs(services)),
            ("/os-keypairs/{keypair_name}", keypairs.KeyPairItem(services)),
    ):
        yield ROOT + path, resource
