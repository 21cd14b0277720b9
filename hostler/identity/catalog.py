"""The catalog: the services of this cloud and their paths below the one base URL.

A new face adds a line to SERVICES. Ids are derived from names, so every process and every start yields the same ones.
"""

from __future__ import annotations

import dataclasses
import uuid
from typing import Any

INTERFACES = ("public", "internal", "admin")
_NAMESPACE = uuid.UUID("6a4ef9c9-4d1c-4ae8-9b71-2f0b8c5f3d10")


@dataclasses.dataclass(frozen=True)
class CatalogService:
    """One service of the catalog."""

    type: str
    name: str
    path: str
    description: str

    @property
    def id(self) -> str:
        """The service's id, 32 digits."""
        return uuid.uuid5(_NAMESPACE, self.type).hex

    def endpoint_id(self, interface: str, region: str) -> str:
        """Return an endpoint's id, 32 digits."""
        return uuid.uuid5(_NAMESPACE, f"{self.type}/{interface}/{region}").hex


SERVICES = (
    CatalogService("identity", "identity", "/identity", "Projects, users, roles and tokens"),
    CatalogService("compute", "compute", "/compute/v2.1", "Servers"),
    CatalogService("block-storage", "block-storage", "/volume/v3", "Volumes, snapshots and backups"),
    # The same by the name that gophercloud, and so Terraform, look for.
    CatalogService("volumev3", "volumev3", "/volume/v3", "Volumes, snapshots and backups"),
    CatalogService("image", "image", "/image", "Images"),
    CatalogService("network", "network", "/network", "Networks, ports and security groups"),
)


def endpoints(service: CatalogService, base_url: str, region: str) -> list[dict[str, Any]]:
    """Return a service's endpoints as a token's catalog prints them."""
    return [{"id": service.endpoint_id(interface, region), "interface": interface, "region": region,
             "region_id": region, "url": base_url + service.path} for interface in INTERFACES]


def catalog(base_url: str, region: str) -> list[dict[str, Any]]:
    """Return the whole catalog for clients that reach us at `base_url` (no path, no slash at its end)."""
    return [{"id": service.id, "type": service.type, "name": service.name,
             "endpoints": endpoints(service, base_url, region)} for service in SERVICES]
