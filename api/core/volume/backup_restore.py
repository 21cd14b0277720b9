"""Restoring a backup to a volume that does not exist yet: a volume is made from it."""

from __future__ import annotations

from api.core.volume import create_flow as volume_create_flow
from api.core.volume.backups import BACKUPS, Restored
from api.core.volume.create import NewVolume
from api.services import Services
from hostler.context import RequestContext
from hostler.db.models import Backup
from hostler.resources.volume.volume_record import VolumeRecord


def restore_to_new(services: Services, context: RequestContext, backup_id: str, name: str) -> Restored:
    """Accept a volume of the backup's size with its content; raises what a new volume's request raises.

    Without `name` it gets the name and description of the volume that was backed up.
    """
    row = BACKUPS.show(services, context, backup_id, action="backup:restore")
    with services.db.reading() as session:
        record = VolumeRecord.kept(session.get_one(Backup, row.id), None)
    description = row.description
    if not name and record.name:
        name, description = record.name, record.description
    volume = volume_create_flow.create_volume(services, context, NewVolume(
        size_gib=row.size_gib, name=name or f"restore_backup_{row.id}", description=description, backup_id=row.id))
    return Restored(volume.id, volume.name)
