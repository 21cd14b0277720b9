"""How a volume is written in answers, for every microversion.

A view writes everything it knows and takes out what the version or the caller may not see; `FIELDS` says which.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, Final

from api.core.volume.list import Summary
from api.core.volume.rows import Attached
from api.microversions import Version
from api.openstack.volume.microversion import ALWAYS, Span, since
from api.openstack.volume.queries import links_of
from api.services import Services
from hostler import clock, ids
from hostler.context import RequestContext
from hostler.operations.kinds import volume as kinds


@dataclasses.dataclass(frozen=True)
class Audience:
    """What the caller may see beyond the ordinary (decided by policy)."""

    admin: bool = False
    host: bool = False
    tenant: bool = False
    migration: bool = False


@dataclasses.dataclass(frozen=True)
class Field:
    """When a member of a volume exists, and what the caller must be allowed for it."""

    span: Span = ALWAYS
    privilege: str | None = None


FIELDS: Final = {
    "os-vol-host-attr:host": Field(privilege="host"),
    "os-vol-tenant-attr:tenant_id": Field(privilege="tenant"),
    "os-vol-mig-status-attr:migstat": Field(privilege="migration"),
    "os-vol-mig-status-attr:name_id": Field(privilege="migration"),
    "migration_status": Field(privilege="admin"), "group_id": Field(since(13)),
    "provider_id": Field(since(21), "admin"), "shared_targets": Field(since(48)), "service_uuid": Field(since(48)),
    "cluster_name": Field(since(61), "admin"), "volume_type_id": Field(since(63)),
    "consumes_quota": Field(since(65)),
}
_SUMMARY_METADATA: Final = since(36)


def audience_of(services: Services, context: RequestContext) -> Audience:
    """Return what the caller may see of volumes."""
    def allows(name: str) -> bool:
        return services.policy.allows(context, f"volume_extension:volume_{name}_attribute")

    return Audience(admin=bool(context.is_admin), host=allows("host"), tenant=allows("tenant"),
                    migration=allows("mig_status"))


@functools.lru_cache(maxsize=1024)
def _hidden(version: Version, audience: Audience) -> tuple[str, ...]:
    return tuple(name for name, field in FIELDS.items() if version not in field.span or (
        field.privilege is not None and not getattr(audience, field.privilege)))


class VolumeView:
    """Writes volumes for one request."""

    def __init__(self, base: str, version: Version, audience: Audience) -> None:
        self._base = base
        self._hidden = _hidden(version, audience)
        self._admin = audience.admin

    def brief(self, row: Any) -> dict[str, Any]:
        """Return a volume as the short list shows it."""
        return {"id": row.id, "name": row.name, "links": links_of(self._base, f"/volumes/{row.id}")}

    def detail(self, row: Any, attachments: Sequence[Attached]) -> dict[str, Any]:
        """Return a volume with everything, as GET shows it."""
        view = self.changed(row, attachments)
        for name, value in self._extended(row).items():
            if name not in self._hidden:
                view[name] = value
        if row.image_metadata:
            view["volume_image_metadata"] = row.image_metadata
        return view

    def changed(self, row: Any, attachments: Sequence[Attached]) -> dict[str, Any]:
        """Return a volume as the answers to POST and PUT show it: without what the reference's extensions add."""
        view: dict[str, Any] = {
            **self.brief(row), "status": row.status, "size": row.size_gib, "availability_zone": row.zone,
            "created_at": clock.iso_micro(row.created_at), "updated_at": clock.iso_micro(row.updated_at),
            "description": row.description, "volume_type": row.type_name, "volume_type_id": row.volume_type_id,
            "snapshot_id": row.snapshot_id, "source_volid": row.source_volume_id,
            "metadata": self._metadata(row, attachments), "user_id": ids.bare(row.user_id),
            "bootable": "true" if row.bootable else "false", "encrypted": False, "replication_status": None,
            "consistencygroup_id": None, "group_id": None, "multiattach": row.multiattach,
            "attachments": [self._attachment(attached) for attached in attachments],
            "migration_status": _migration_status(row), "provider_id": None,
            "shared_targets": False, "service_uuid": row.node_id, "cluster_name": None, "consumes_quota": True}
        return {name: value for name, value in view.items() if name not in self._hidden}

    @staticmethod
    def _extended(row: Any) -> dict[str, Any]:
        return {"os-vol-host-attr:host": host_of(row), "os-vol-tenant-attr:tenant_id": ids.bare(row.project_id),
                "os-vol-mig-status-attr:migstat": _migration_status(row), "os-vol-mig-status-attr:name_id": None}

    def _metadata(self, row: Any, attachments: Sequence[Attached]) -> dict[str, str]:
        """Return the users' metadata with what the published API adds to it."""
        added = {"readonly": str(row.readonly)} if row.readonly or row.readonly_set else {}
        if attachments:
            added["attached_mode"] = attachments[0].mode
        return {**row.extra, **added}

    def _attachment(self, attached: Attached) -> dict[str, Any]:
        return {"id": attached.volume_id, "attachment_id": attached.id, "volume_id": attached.volume_id,
                "server_id": attached.server_id, "host_name": attached.host if self._admin else None,
                "device": device_path(attached.device), "attached_at": clock.iso_micro(attached.attached_at)}


def own_view(row: Any) -> dict[str, Any]:
    """Return what the published API has no place for: progress in per cent, and why the volume failed."""
    return {"hostler": {"progress": row.progress or None if row.lock_kind is not None else None,
                        "fault": row.fault.get("message", "") if row.fault else None}}


def _migration_status(row: Any) -> str | None:
    return "migrating" if row.lock_kind == kinds.MIGRATE.name else row.migration_status


def device_path(device: str | None) -> str | None:
    """Return the path of a guest's device."""
    return device if device is None or device.startswith("/") else f"/dev/{device}"


def host_of(row: Any) -> str | None:
    """Return the back end of a volume as node@backend#backend."""
    return f"{row.node}@{row.backend}#{row.backend}" if row.backend is not None else None


def summary_view(summary: Summary, version: Version) -> dict[str, Any]:
    """Return the sums over volumes."""
    view: dict[str, Any] = {"total_count": summary.number, "total_size": summary.size_gib}
    if version in _SUMMARY_METADATA:
        view["metadata"] = summary.metadata
    return {"volume-summary": view}
