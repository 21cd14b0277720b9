"""How the stored states of volumes, snapshots, backups and attachments change: only as `states` allows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from hostler.db.models import Backup, Snapshot, Volume, VolumeAttachment
from hostler.resources.transitions import Transitions
from hostler.resources.volume import states

VOLUME: Final = Transitions("volume", Volume, Volume.state, states.STATES, states.may_become)
SNAPSHOT: Final = Transitions("snapshot", Snapshot, Snapshot.state, states.STATES, states.may_become)
BACKUP: Final = Transitions("backup", Backup, Backup.state, states.STATES, states.may_become)
ATTACHMENT: Final = Transitions("attachment", VolumeAttachment, VolumeAttachment.state, states.ATTACHMENT_STATES,
                                states.attachment_may_become)

# By the type of the resource, as operations name it.
BY_TYPE: Final[Mapping[str, Transitions]] = {row.noun: row for row in (VOLUME, SNAPSHOT, BACKUP)}
