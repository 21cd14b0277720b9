"""What users see of a volume: its status, which is derived.

What is going on is read off the kind of the operation that holds the volume's lock; whether it is in use, off its
attachments. So a crash leaves no volume "attaching".

>>> volume_status("available", "volume.extend", attachments={"attached"}, offered=False)
'extending'
>>> volume_status("available", None, attachments={"attached"}, offered=False)
'in-use'
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from hostler.operations.kinds import volume as kinds
from hostler.operations.kinds.registry import shown
from hostler.resources.volume import states

# State of an attachment → status of its volume; the first one counts.
ATTACHMENT_STATUS: Final = {states.ATTACHED: kinds.IN_USE, states.ATTACHING: states.ATTACHING,
                            states.RESERVED: states.RESERVED}
# State → what is shown of it, where that is another word.
SHOWN: Final = {states.SAID_CREATING: states.CREATING}
# Kind of the operation that holds the lock → status; kinds not named here change nothing.
VOLUME_WHILE: Final = shown("volume")
SNAPSHOT_WHILE: Final = shown("snapshot")
BACKUP_WHILE: Final = shown("backup")


def volume_status(state: str, kind: str | None, *, attachments: Collection[str], offered: bool) -> str:
    """Return a volume's status: its stored `state`, the kind that holds its lock, the states of its attachments, and
    whether a transfer offers it."""
    if state == states.CREATING and kind != kinds.DELETE.name:
        return states.CREATING
    during = VOLUME_WHILE.get(kind or "")
    if during:
        return during
    if state != states.READY:
        return SHOWN.get(state, state)
    for attachment, status in ATTACHMENT_STATUS.items():
        if attachment in attachments:
            return status
    return "awaiting-transfer" if offered else states.READY
