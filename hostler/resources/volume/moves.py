"""How the stored states of volumes, snapshots and backups change in the database: where `states.may_become` only."""

from __future__ import annotations

from hostler.db.models import Backup, Snapshot, Volume
from hostler.resources.transitions import Transitions
from hostler.resources.volume import states

VOLUME = Transitions("volume", Volume, Volume.state, states.STATES, states.may_become)
SNAPSHOT = Transitions("snapshot", Snapshot, Snapshot.state, states.STATES, states.may_become)
BACKUP = Transitions("backup", Backup, Backup.state, states.STATES, states.may_become)
