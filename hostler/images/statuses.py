"""The published statuses of an image, and the one table of transitions.

    queued ──► saving ──► active ◄──► deactivated
      ▲  └───► uploading ──► importing ──► active
      └─── every failure and every dead worker
"""

from __future__ import annotations

from typing import Final

QUEUED: Final = "queued"  # no data yet
SAVING: Final = "saving"  # a request sends the data
UPLOADING: Final = "uploading"  # a request stages the data, or it is staged and waits for its import
IMPORTING: Final = "importing"  # a request makes the staged data the image's
ACTIVE: Final = "active"
DEACTIVATED: Final = "deactivated"  # an administrator keeps its data from everybody
KILLED: Final = "killed"  # its data will never come; it can only be deleted
DELETED: Final = "deleted"
WORKING: Final = (SAVING, UPLOADING, IMPORTING)
STATUSES: Final = (QUEUED, *WORKING, ACTIVE, DEACTIVATED, KILLED, DELETED)

# Every status but DELETED may also become DELETED: see `may_become`.
TRANSITIONS: Final = frozenset({
    (QUEUED, SAVING), (QUEUED, ACTIVE),  # the latter of an image that has no content but names snapshots
    (QUEUED, UPLOADING), (UPLOADING, IMPORTING), (SAVING, ACTIVE), (IMPORTING, ACTIVE),
    *((status, QUEUED) for status in WORKING),  # it failed, or its worker died
    *((status, KILLED) for status in (QUEUED, *WORKING)),
    (ACTIVE, DEACTIVATED), (DEACTIVATED, ACTIVE),
})


def may_become(old: str, new: str) -> bool:
    """Return whether an image may go from `old` to `new`; staying is always allowed."""
    return old == new or (old != DELETED and new == DELETED) or (old, new) in TRANSITIONS
