"""States of volumes, snapshots and backups: what is stored, and the status users are told.

Stored is only what outlives an operation (`CREATING` until it first succeeded, `READY`, or an error). What is going
on is read off the operation that holds the lock; whether a volume is in use, off its attachments. So a crash leaves
no volume "attaching". Words follow the published Block Storage API, since clients compare them.

>>> volume_status(READY, "volume.extend", attached=1, reserved=0, offered=False)
'extending'
>>> volume_status(READY, None, attached=1, reserved=0, offered=False)
'in-use'
"""

from __future__ import annotations

from typing import Final

CREATING: Final = "creating"  # accepted; not on a back end yet
READY: Final = "available"  # whole and usable
ERROR: Final = "error"  # `fault` says why; may only be deleted (or reset)
ERROR_DELETING: Final = "error_deleting"
ERROR_EXTENDING: Final = "error_extending"
ERROR_RESTORING: Final = "error_restoring"
MAINTENANCE: Final = "maintenance"  # an administrator's word: not to be used
DELETED: Final = "deleted"

ERRORS: Final = (ERROR, ERROR_DELETING, ERROR_EXTENDING, ERROR_RESTORING)
# What an administrator may set with os-reset_status; "in-use" is read off the attachments and means READY.
SETTABLE: Final = {"available": READY, "in-use": READY, "error": ERROR, "error_deleting": ERROR_DELETING,
                   "error_extending": ERROR_EXTENDING, "error_restoring": ERROR_RESTORING,
                   "maintenance": MAINTENANCE}

# States of an attachment.
RESERVED: Final = "reserved"  # promised; nothing is connected yet
ATTACHED: Final = "attached"

# Operation kind that holds a volume's lock → the volume's status meanwhile; kinds not named here change nothing.
WHILE: Final = {
    "volume.create": "creating",
    "volume.delete": "deleting",
    "volume.extend": "extending",
    "volume.upload": "uploading",
    "volume.retype": "retyping",
    "volume.revert": "reverting",
    "backup.create": "backing-up",
    "backup.restore": "restoring-backup",
    "server.attach_volume": "attaching",
    "server.detach_volume": "detaching",
    "attachment.connect": "attaching",
    "attachment.delete": "detaching",
}
# As WHILE, for a volume whose attachment belongs to the server that the operation is about.
WHILE_OF_SERVER: Final = {"server.create": "attaching", "server.delete": "detaching"}

SNAPSHOT_WHILE: Final = {"snapshot.create": "creating", "snapshot.delete": "deleting", "volume.delete": "deleting",
                         "volume.revert": "restoring", "backup.create": "backing-up"}
BACKUP_WHILE: Final = {"backup.create": "creating", "backup.delete": "deleting", "backup.restore": "restoring"}


def volume_status(state: str, kind: str | None, *, attached: int, reserved: int, offered: bool) -> str:
    """Return a volume's status: its stored `state`, the kind that holds its lock, the numbers of its attachments by
    state, and whether a transfer offers it."""
    if state == CREATING and kind != "volume.delete":
        return CREATING
    during = WHILE.get(kind or "") or WHILE_OF_SERVER.get(kind or "")
    if during:
        return during
    if state != READY:
        return state
    if attached:
        return "in-use"
    if reserved:
        return "reserved"
    return "awaiting-transfer" if offered else READY


def snapshot_status(state: str, kind: str | None) -> str:
    """Return a snapshot's status."""
    if state == CREATING and kind not in ("snapshot.delete", "volume.delete"):
        return CREATING
    return SNAPSHOT_WHILE.get(kind or "", state)


def backup_status(state: str, kind: str | None) -> str:
    """Return a backup's status."""
    return BACKUP_WHILE.get(kind or "", state)
