"""Volumes, snapshots and backups on storage nodes that their records call deleted, or place elsewhere.

Nodes remove them by themselves when they reconcile (`conductor.volume_reconcile`, whose judgement this is); here
the operator sees them, and need not wait.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import orm

from conductor import homes, volume_reconcile
from conductor.audit.evidence import Inventory
from conductor.audit.finding import Finding, NotRepaired
from conductor.audit.repair import Repairs
from hostler.operations.accept import Target
from hostler.resources.volume.specs import BackupSpec, SnapshotSpec, VolumeSpec


class LeftoverData:
    """Removes them."""

    name = "leftovers"
    about = "data of deleted volumes, snapshots and backups that is still on storage nodes"

    def find(self, session: orm.Session, inventory: Inventory) -> list[Finding]:
        """Ask what the nodes would be told to remove."""
        found = []
        for node, present in sorted(inventory.nodes.items()):
            unwanted = volume_reconcile.find_unwanted(session, node, present, own_operation=inventory.own_operation)
            for kind in ("volume", "snapshot"):
                found += [self._finding(Target(kind, item["id"]), node, item) for item in unwanted[f"{kind}s"]]
            found += [self._finding(Target("backup", backup_id), node, {}) for backup_id in unwanted["backups"]]
        return found

    def _finding(self, target: Target, node: str, item: dict[str, Any]) -> Finding:
        place = f"{node}@{item['backend']}" if "backend" in item else node
        return Finding(self.name, target, "is gone (or elsewhere) by its record, and its data is still there",
                       "remove the data", place=place, node=node, hold=(target,), details=item)

    def repair(self, repairs: Repairs, finding: Finding) -> str:
        """Remove the data."""
        node, item, volumes = str(finding.node), finding.details, repairs.cloud.volumes
        if finding.target.type == "backup":
            backup = BackupSpec(id=finding.target.id, store="", volume_id="", size_gib=0)
            repairs.ask(node, volumes.delete_backup, backup)
            return "removed the data"
        volume = VolumeSpec(id=item.get("volume_id") or item["id"], backend=item["backend"], size_gib=0)
        if finding.target.type == "snapshot":
            snapshot = SnapshotSpec(id=item["id"], volume_id=volume.id, size_gib=0)
            repairs.ask(node, volumes.delete_snapshot, snapshot, volume)
        else:
            with repairs.run.reading() as session:
                places = homes.volumes(session, [volume.id])
            if volume.id not in homes.left_over_volumes(repairs.cloud, places):
                raise NotRepaired("it may be the only copy: the node that its record names does not say that it has it")
            repairs.ask(node, volumes.delete_volume, volume)
        return "removed the data"
