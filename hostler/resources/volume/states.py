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

ERRORS: Final = (ERROR, ERROR_DELETING, ERROR_EXTENDING, ERROR_RESTORING)
STATES: Final = (CREATING, READY, *ERRORS, MAINTENANCE, DELETED)
# What an administrator may set with os-reset_status; "in-use" is read off the attachments and means READY.
SETTABLE: Final = {"available": READY, "in-use": READY, "error": ERROR, "error_deleting": ERROR_DELETING,
                   "error_extending": ERROR_EXTENDING, "error_restoring": ERROR_RESTORING,
                   "maintenance": MAINTENANCE}

# States of an attachment.
RESERVED: Final = "reserved"  # promised; nothing is connected yet
ATTACHING: Final = "attaching"  # promised in the old way (os-reserve)
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
