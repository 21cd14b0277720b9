"""Volumes, snapshots and backups that their records call whole and whose storage has nothing of them.

A record in an error state is none of these: it says already that something is wrong, and its owner may delete it.
"""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa
from sqlalchemy import orm

from conductor.audit.evidence import Inventory
from conductor.audit.finding import Finding
from conductor.audit.repair import Repairs
from hostler.db.models import Backend, Backup, Snapshot, Volume, VolumeNode
from hostler.operations.accept import Target
from hostler.resources.volume import moves
from hostler.resources.volume import states as volume_states

_WHOLE = (volume_states.READY, volume_states.MAINTENANCE)


class MissingData:
    """Puts the records into error: to delete a record would hide a loss that its owner must hear of."""

    name = "missing-data"
    about = "records of volumes, snapshots and backups without their data"

    def find(self, session: orm.Session, inventory: Inventory) -> list[Finding]:
        """Compare the records with what is there, where it could be looked at."""
        return [Finding(self.name, target, "has no data on its storage", "put it into error, with that as its fault",
                        place=place, node=node, hold=(target,))
                for target, place, node in (*_blocks(session, inventory), *_backups(session, inventory))
                if target.id not in inventory.locked]

    def repair(self, repairs: Repairs, finding: Finding) -> str:
        """Write state and fault."""
        return repairs.put_into_error(moves.BY_TYPE[finding.target.type], finding,
                                      f"Its data is not on its storage ({finding.place}).", only_from=_WHOLE)


def _blocks(session: orm.Session, inventory: Inventory) -> Iterator[tuple[Target, str, str]]:
    there = {(node, backend): content for node, backend, content in inventory.backends()}
    volumes = sa.select(sa.literal("volume").label("type"), Volume.id, VolumeNode.name.label("node"),
                        Backend.name.label("backend"), Volume.id.label("volume_id")
                        ).select_from(Volume).where(Volume.deleted_at.is_(None), Volume.state.in_(_WHOLE))
    snapshots = sa.select(sa.literal("snapshot").label("type"), Snapshot.id, VolumeNode.name.label("node"),
                          Backend.name.label("backend"), Snapshot.volume_id).select_from(Snapshot).join(
        Volume, Volume.id == Snapshot.volume_id).where(Snapshot.deleted_at.is_(None), Snapshot.state.in_(_WHOLE))
    for query in (volumes, snapshots):
        for row in session.execute(query.join(Backend, Backend.id == Volume.backend_id)
                                   .join(VolumeNode, VolumeNode.id == Backend.node_id).order_by(sa.text("2"))):
            content = there.get((row.node, row.backend))
            # What is done to a volume is done to its snapshots, too.
            if content is not None and row.volume_id not in inventory.locked and row.id not in content[f"{row.type}s"]:
                yield Target(row.type, row.id), f"{row.node}@{row.backend}", row.node


def _backups(session: orm.Session, inventory: Inventory) -> Iterator[tuple[Target, str, str]]:
    stores: dict[str, tuple[str, set[str]]] = {}
    for node, found in sorted(inventory.nodes.items()):
        if found.get("backup_store"):
            stores[found["backup_store"]] = (node, set(found.get("backups", [])))
    rows = session.execute(sa.select(Backup.id, Backup.store).where(
        Backup.deleted_at.is_(None), Backup.state.in_(_WHOLE), Backup.store.in_(list(stores))).order_by(Backup.id))
    for row in rows:
        node, backups = stores[row.store]
        if row.id not in backups:
            yield Target("backup", row.id), node, node
