"""States of a server (`vm_state`), which are stored and change along `TRANSITIONS` only.

What a server is doing (`task_state`) and the status users are told are derived: see `hostler.resources.server.status`.
Words follow the published Compute API, since clients compare them.
"""

from __future__ import annotations

from typing import Final

BUILDING: Final = "building"  # accepted; no guest yet
ACTIVE: Final = "active"  # the guest runs
STOPPED: Final = "stopped"  # off; disk and addresses kept
PAUSED: Final = "paused"  # frozen in its host's memory
SUSPENDED: Final = "suspended"  # memory saved on its host's disk
RESCUED: Final = "rescued"  # runs a rescue image, its own disk beside it
RESIZED: Final = "resized"  # runs with the new flavor, waits to be confirmed
SHELVED: Final = "shelved"  # off, its disk saved as an image
SHELVED_OFFLOADED: Final = "shelved_offloaded"  # lives as an image only; no host
SOFT_DELETED: Final = "soft-delete"  # in the trash
ERROR: Final = "error"  # its `fault` says why
DELETED: Final = "deleted"  # gone; the row is kept for `changes-since` until purged

VM_STATES: Final = (BUILDING, ACTIVE, STOPPED, PAUSED, SUSPENDED, RESCUED, RESIZED, SHELVED, SHELVED_OFFLOADED,
                    SOFT_DELETED, ERROR, DELETED)

# Every state may also become ERROR, and every one but DELETED may become DELETED: see `may_become`.
TRANSITIONS: Final = frozenset({
    (BUILDING, ACTIVE),  # spawned
    (ACTIVE, STOPPED),  # os-stop, or the guest switched itself off
    (ACTIVE, PAUSED),
    (ACTIVE, SUSPENDED),
    (ACTIVE, RESCUED),
    (ACTIVE, RESIZED),
    (ACTIVE, SHELVED),
    (ACTIVE, SOFT_DELETED),
    (STOPPED, ACTIVE),  # os-start, hard reboot, or started on the host directly
    (STOPPED, RESCUED),
    (STOPPED, RESIZED),
    (STOPPED, SHELVED),
    (STOPPED, SOFT_DELETED),
    (PAUSED, ACTIVE),
    (PAUSED, STOPPED),  # the process died while paused
    (PAUSED, SHELVED),
    (PAUSED, SOFT_DELETED),
    (SUSPENDED, ACTIVE),
    (SUSPENDED, STOPPED),  # the saved memory was lost or thrown away
    (SUSPENDED, SHELVED),
    (SUSPENDED, SOFT_DELETED),
    (RESCUED, ACTIVE),
    (RESCUED, SOFT_DELETED),
    (RESIZED, ACTIVE),  # confirmed or reverted
    (RESIZED, STOPPED),
    (RESIZED, SOFT_DELETED),
    (SHELVED, ACTIVE),
    (SHELVED, SHELVED_OFFLOADED),
    (SHELVED, SOFT_DELETED),
    (SHELVED_OFFLOADED, ACTIVE),
    (SHELVED_OFFLOADED, SOFT_DELETED),
    (SOFT_DELETED, ACTIVE),  # restored
    (SOFT_DELETED, STOPPED),
    (SOFT_DELETED, RESIZED),
    (SOFT_DELETED, SHELVED),
    (SOFT_DELETED, SHELVED_OFFLOADED),
    (ERROR, ACTIVE),  # hard reboot, rebuild, or an administrator's word
    (ERROR, STOPPED),
    (ERROR, RESCUED),
    (ERROR, SOFT_DELETED),
})


def may_become(old: str, new: str) -> bool:
    """Return whether a server may go from `old` to `new`; staying is always allowed."""
    if old == new:
        return True
    if old == DELETED:
        return False
    return new in (ERROR, DELETED) or (old, new) in TRANSITIONS


def restored_as(vm_state: str) -> str:
    """Return the state to which a server comes back that was put into the trash in `vm_state`; its memory is lost."""
    return vm_state if vm_state in (STOPPED, RESIZED, SHELVED, SHELVED_OFFLOADED) else ACTIVE


POWER_NUMBERS: Final = {"nostate": 0, "running": 1, "paused": 3, "shutdown": 4, "crashed": 6, "suspended": 7}
POWER_NAMES: Final = {number: name for name, number in POWER_NUMBERS.items()}


# vm_state → what users are told, unless an operation says otherwise (`hostler.resources.server.status`).
STATUS: Final = {
    BUILDING: "BUILD", ACTIVE: "ACTIVE", STOPPED: "SHUTOFF", PAUSED: "PAUSED", SUSPENDED: "SUSPENDED",
    RESCUED: "RESCUE", RESIZED: "VERIFY_RESIZE", SHELVED: "SHELVED", SHELVED_OFFLOADED: "SHELVED_OFFLOADED",
    SOFT_DELETED: "SOFT_DELETED", ERROR: "ERROR", DELETED: "DELETED",
}
# Statuses with a fault, and those with a progress figure, in answers.
WITH_FAULT: Final = frozenset({"ERROR", "DELETED"})
WITH_PROGRESS: Final = frozenset({"ACTIVE", "BUILD", "REBUILD", "RESIZE", "VERIFY_RESIZE", "MIGRATING", "DELETED"})
