"""The whole URL map of the Block Storage API, below /volume/v3. A parameter has one name wherever its place occurs.

Each module lists its own paths as ROUTES: (path below /v3, maker of the resource). More specific paths need no order.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from api.openstack.volume import actions as volume_actions
from api.openstack.volume import (
    attachments,
    availability_zones,
    backups,
    extensions,
    messages,
    not_built,
    params,
    qos_specs,
    quotas,
    snapshots,
    transfers,
    type_parts,
    types,
    versions,
    volumes,
)
from api.openstack.volume import metadata as volume_metadata
from api.openstack.volume import services as service_resources
from api.services import Services

MODULES: tuple[Any, ...] = (
    not_built, attachments, availability_zones, backups, extensions, messages, qos_specs, quotas, service_resources,
    snapshots, transfers, type_parts, types, volume_actions, volume_metadata, volumes)


def routes(services: Services) -> Iterable[tuple[str, Any]]:
    """Yield (path below the face's prefix, resource)."""
    yield "", versions.Versions(services)
    yield params.ROOT, versions.VersionItem(services)
    for module in MODULES:
        for path, maker in module.ROUTES:
            yield params.ROOT + path, maker(services)
