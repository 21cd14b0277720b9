"""Volumes, snapshots and backups on storage nodes that no record tells of, not even of their deletion.

It may be user data when the database was restored from a backup. So it takes two options to have it removed:
`--repair --delete-unknown`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import orm

from conductor.audit.evidence import Inventory, rows_of
from conductor.audit.finding import Finding, NotRepaired
from conductor.audit.repair import Repairs
from hostler.db.models import Backup, Snapshot, Volume
from hostler.operations.accept import Target
from hostler.resources.volume.specs import BackupSpec, SnapshotSpec, VolumeSpec

_MODELS: dict[str, Any] = {"volume": Volume, "snapshot": Snapshot, "backup": Backup}


class UnknownData:
    """Lists it; removes it when told so."""

    name = "unknown-data"
    about = "volumes, snapshots and backups on storage nodes without any record"

    def find(self, session: orm.Session, inventory: Inventory) -> list[Finding]:
        """Compare what is there with the records, those of deleted resources included."""
        seen = list(_seen(inventory))
        known = {kind: rows_of(session, {item[0].id for item in seen if item[0].type == kind}, model.id)
                 for kind, model in _MODELS.items()}
        return [self._finding(*item) for item in seen if item[0].id not in known[item[0].type]]

    def _finding(self, target: Target, node: str, backend: str | None) -> Finding:
        return Finding(self.name, target, "is there, and no record tells of it", "remove it for good",
                       place=f"{node}@{backend}" if backend else node, node=node, unknown=True, hold=(target,),
                       details={"backend": backend})

    def repair(self, repairs: Repairs, finding: Finding) -> str:
        """Remove it."""
        node, volumes = str(finding.node), repairs.cloud.volumes
        identity, backend = finding.target.id, finding.details["backend"]
        if finding.target.type == "volume":
            volume = VolumeSpec(id=identity, backend=backend, size_gib=0)
            repairs.ask(node, volumes.delete_volume, volume)
        elif finding.target.type == "snapshot":
            # Which volume's it is, only the record knew.
            volume, snapshot = VolumeSpec(id="", backend=backend, size_gib=0), SnapshotSpec(
                id=identity, volume_id="", size_gib=0)
            repairs.ask(node, volumes.delete_snapshot, snapshot, volume)
            found = repairs.ask(node, volumes.get_inventory)
            if identity in found["backends"][backend]["snapshots"]:
                raise NotRepaired("its back end finds a snapshot by its volume alone; it goes with that")
        else:
            backup = BackupSpec(id=identity, store="", volume_id="", size_gib=0)
            repairs.ask(node, volumes.delete_backup, backup)
        return "removed it"


def _seen(inventory: Inventory) -> Iterator[tuple[Target, str, str | None]]:
    for node, backend, content in inventory.backends():
        # Snapshots first: some volumes cannot go before them.
        yield from ((Target("snapshot", snapshot_id), node, backend) for snapshot_id in content.get("snapshots", []))
        yield from ((Target("volume", volume_id), node, backend) for volume_id in content.get("volumes", []))
    stores = set()
    for node, found in sorted(inventory.nodes.items()):
        # Nodes that share a store report the same backups.
        if (store := found.get("backup_store")) is None or store not in stores:
            stores.add(store)
            yield from ((Target("backup", backup_id), node, None) for backup_id in found.get("backups", []))
