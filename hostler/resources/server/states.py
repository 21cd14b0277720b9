"""States of a server: what it is (`vm_state`), what it is doing (`task_state`), what users are told (`status`).

`vm_state` is stored and changes along `TRANSITIONS` only. `task_state` is never stored: it is read off the operation
that holds the server's lock (`TASKS`). `status` is a function of both. Words follow the published Compute API, since
clients compare them.

>>> status_of("active", task_state("server.reboot", placed=True, hard=True))
'HARD_REBOOT'
"""

from __future__ import annotations

import dataclasses
from typing import Final

from hostler import errors

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
    (STOPPED, ACTIVE),  # os-start, hard reboot, or started behind our back
    (STOPPED, RESCUED),
    (STOPPED, RESIZED),
    (STOPPED, SHELVED),
    (STOPPED, SOFT_DELETED),
    (PAUSED, ACTIVE),
    (PAUSED, STOPPED),  # the process died while paused
    (PAUSED, SHELVED),
    (SUSPENDED, ACTIVE),
    (SUSPENDED, STOPPED),  # the saved memory was lost or thrown away
    (SUSPENDED, SHELVED),
    (RESCUED, ACTIVE),
    (RESIZED, ACTIVE),  # confirmed or reverted
    (RESIZED, STOPPED),
    (SHELVED, ACTIVE),
    (SHELVED, SHELVED_OFFLOADED),
    (SHELVED_OFFLOADED, ACTIVE),
    (SOFT_DELETED, ACTIVE),  # restored
    (SOFT_DELETED, STOPPED),
    (ERROR, ACTIVE),  # hard reboot, rebuild, or an administrator's word
    (ERROR, STOPPED),
})


def may_become(old: str, new: str) -> bool:
    """Return whether a server may go from `old` to `new`; staying is always allowed."""
    if old == new:
        return True
    if old == DELETED:
        return False
    return new in (ERROR, DELETED) or (old, new) in TRANSITIONS


POWER_NUMBERS: Final = {"nostate": 0, "running": 1, "paused": 3, "shutdown": 4, "crashed": 6, "suspended": 7}
POWER_NAMES: Final = {number: name for name, number in POWER_NUMBERS.items()}


@dataclasses.dataclass(frozen=True)
class Task:
    """What an operation kind looks like to users: its name in the action list and the task state it shows.

    `waiting` is shown instead of `state` until the server has a host; `hard` instead of it for the forceful form.
    """

    action: str
    state: str | None
    waiting: str | None = None
    hard: str | None = None


TASKS: Final = {
    "server.create": Task("create", "spawning", waiting="scheduling"),
    "server.delete": Task("delete", "deleting"),
    "server.start": Task("start", "powering-on"),
    "server.stop": Task("stop", "powering-off"),
    "server.reboot": Task("reboot", "rebooting", hard="rebooting_hard"),
    "server.pause": Task("pause", "pausing"),
    "server.unpause": Task("unpause", "unpausing"),
    "server.suspend": Task("suspend", "suspending"),
    "server.resume": Task("resume", "resuming"),
    "server.attach_volume": Task("attach_volume", None),
    "server.detach_volume": Task("detach_volume", None),
    "server.lock": Task("lock", None),
    "server.unlock": Task("unlock", None),
    "server.update": Task("update", None),
    "server.reset_state": Task("resetState", None),
    "network.apply_rules": Task("updateSecurityGroups", None),
}


def action_name(kind: str) -> str:
    """Return how the action list calls operations of `kind`."""
    task = TASKS.get(kind)
    return task.action if task else kind.partition(".")[2] or kind


def task_state(kind: str | None, *, placed: bool, hard: bool = False) -> str | None:
    """Return the task state of a server whose lock an operation of `kind` holds (None: no lock)."""
    task = TASKS.get(kind) if kind else None
    if task is None:
        return None
    if hard and task.hard:
        return task.hard
    return task.state if placed or task.waiting is None else task.waiting


# vm_state → what users are told, and the exceptions while something is going on.
STATUS: Final = {
    BUILDING: "BUILD", ACTIVE: "ACTIVE", STOPPED: "SHUTOFF", PAUSED: "PAUSED", SUSPENDED: "SUSPENDED",
    RESCUED: "RESCUE", RESIZED: "VERIFY_RESIZE", SHELVED: "SHELVED", SHELVED_OFFLOADED: "SHELVED_OFFLOADED",
    SOFT_DELETED: "SOFT_DELETED", ERROR: "ERROR", DELETED: "DELETED",
}
STATUS_WHILE: Final = {
    (ACTIVE, "rebooting"): "REBOOT", (ACTIVE, "rebooting_hard"): "HARD_REBOOT",
    (STOPPED, "rebooting_hard"): "HARD_REBOOT", (PAUSED, "rebooting_hard"): "HARD_REBOOT",
    (SUSPENDED, "rebooting_hard"): "HARD_REBOOT", (ERROR, "rebooting_hard"): "HARD_REBOOT",
}
# What a status filter has to look for: (vm_states, operation kinds that must hold the lock; empty: none of them does).
STATUS_FILTER: Final[dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    **{status: ((vm_state,), ()) for vm_state, status in STATUS.items()},
    "REBOOT": ((ACTIVE,), ("server.reboot",)),
    "HARD_REBOOT": ((ACTIVE, STOPPED, PAUSED, SUSPENDED, ERROR), ("server.reboot",)),
}
# Statuses with a fault, and those with a progress figure, in answers.
WITH_FAULT: Final = frozenset({"ERROR", "DELETED"})
WITH_PROGRESS: Final = frozenset({"ACTIVE", "BUILD", "REBUILD", "RESIZE", "VERIFY_RESIZE", "MIGRATING", "DELETED"})


def status_of(vm_state: str, task: str | None) -> str:
    """Return the status users see."""
    return STATUS_WHILE.get((vm_state, task or "")) or STATUS.get(vm_state, "UNKNOWN")


@dataclasses.dataclass(frozen=True)
class Action:
    """A change that users may ask for: the states it starts from and the operation that does it."""

    kind: str
    allowed: tuple[str, ...]


_ANY = tuple(state for state in VM_STATES if state != DELETED)
ACTIONS: Final = {
    "start": Action("server.start", (STOPPED,)),
    "stop": Action("server.stop", (ACTIVE, ERROR)),
    "reboot": Action("server.reboot", (ACTIVE,)),
    "reboot_hard": Action("server.reboot", (ACTIVE, STOPPED, PAUSED, SUSPENDED, ERROR)),
    "pause": Action("server.pause", (ACTIVE, RESCUED)),
    "unpause": Action("server.unpause", (PAUSED,)),
    "suspend": Action("server.suspend", (ACTIVE, RESCUED)),
    "resume": Action("server.resume", (SUSPENDED,)),
    "delete": Action("server.delete", _ANY),
    "restore": Action("server.restore", (SOFT_DELETED,)),
    "attach_volume": Action("server.attach_volume", (ACTIVE, PAUSED, STOPPED, RESIZED, SHELVED_OFFLOADED)),
    "detach_volume": Action("server.detach_volume", (ACTIVE, PAUSED, STOPPED, RESIZED, SHELVED_OFFLOADED)),
    "change_security_groups": Action("network.apply_rules", (ACTIVE, STOPPED, PAUSED, SUSPENDED, RESCUED)),
}


def check_action(action: str, server_id: str, vm_state: str, *, said_as: str | None = None) -> Action:
    """Return the action's row; raises InvalidState when a server in `vm_state` may not take it.

    `said_as` is the caller's name for the action, for the message.
    """
    row = ACTIONS[action]
    if vm_state not in row.allowed:
        raise errors.InvalidState(action=said_as or action, resource="instance", id=server_id, attribute="vm_state",
                                  state=vm_state)
    return row
