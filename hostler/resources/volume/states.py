"""States of volumes, snapshots and backups: what is stored.

Only what outlives an operation is stored (`CREATING` until it first succeeded, `READY`, or an error). The status users
are told is derived (`hostler.resources.volume.status`). Words follow the published Block Storage API, since clients
compare them.
"""

from __future__ import annotations

from typing import Final

CREATING: Final = "creating"  # accepted; not on a back end yet
READY: Final = "available"  # whole and usable
ERROR: Final = "error"  # `fault` says why; may only be deleted (or reset)
ERROR_DELETING: Final = "error_deleting"
ERROR_EXTENDING: Final = "error_extending"
ERROR_RESTORING: Final = "error_restoring"
MAINTENANCE: Final = "maintenance"  # set by an administrator: not to be used
DELETED: Final = "deleted"
ATTACHING: Final = "attaching"
DETACHING: Final = "detaching"  # said by os-begin_detaching or an administrator
# Shown as "creating", which an administrator said: not what is being made (`CREATING`).
SAID_CREATING: Final = "said-creating"

ERRORS: Final = (ERROR, ERROR_DELETING, ERROR_EXTENDING, ERROR_RESTORING)
# Words that an administrator may say though nothing works on it. Nothing may be done with it then until they say
# otherwise, or delete it by force.
SAID: Final = (SAID_CREATING, ATTACHING, DETACHING, "deleting", "reserved", "awaiting-transfer", "backing-up",
               "error_backing-up", "restoring-backup", "downloading", "uploading", "retyping", "extending",
               "unmanaging", "restoring")
STATES: Final = (CREATING, READY, *ERRORS, MAINTENANCE, DELETED, *SAID)
# What an administrator may set with os-reset_status; "in-use" is read off the attachments and means READY.
SETTABLE: Final = {"available": READY, "in-use": READY, "creating": SAID_CREATING, **{word: word for word in (
    *ERRORS, MAINTENANCE, *SAID) if word not in (SAID_CREATING, "unmanaging", "restoring")}}
SNAPSHOT_SETTABLE: Final = {"available": READY, "creating": SAID_CREATING, **{word: word for word in (
    ERROR, ERROR_DELETING, "deleting", "unmanaging", "backing-up", "restoring")}}

# States of an attachment.
RESERVED: Final = "reserved"  # promised; nothing is connected yet
# ATTACHING: promised in the old way (os-reserve)
ATTACHED: Final = "attached"

ATTACHMENT_STATES: Final = (RESERVED, ATTACHING, ATTACHED)


def may_become(old: str, new: str) -> bool:
    """Return whether a volume, snapshot or backup may go from `old` to `new`; staying is always allowed.

    Nothing becomes `creating` again and nothing leaves `deleted`. Between the others an administrator may move them at
    will (os-reset_status), so only the verbs say what leads where.
    """
    return old == new or (old != DELETED and new != CREATING)


def attachment_may_become(old: str, new: str) -> bool:
    """Return whether an attachment may go from `old` to `new`.

    Once attached it stays so until its row is removed, but for its server's time on no host.
    """
    return new in (old, ATTACHED) or (old, new) == (ATTACHED, RESERVED)
