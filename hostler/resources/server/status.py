"""What users see of a server: its task state and its status, both derived.

The task state is never stored. It is read off the kind of the operation that holds the server's lock, so a crash
leaves no server "rebooting". The status is a function of vm_state and task state.

>>> status_of("active", task_state("server.reboot", placed=True, hard=True))
'HARD_REBOOT'
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from hostler import errors
from hostler.operations.kinds.kind import Kind
from hostler.operations.kinds.registry import KINDS
from hostler.resources.server import states


def _exceptions() -> Iterator[tuple[str, str, str, str]]:
    """Yield (kind, vm_state, task state, status) where the status is not that of the vm_state."""
    for row in KINDS.values():
        for starts_in, task, status in ((row.starts_in, row.shows.get("server"), row.status),
                                        *((form.starts_in, form.shows, form.status)
                                          for form in (row.forceful,) if form is not None)):
            if task is not None and status is not None:
                yield from ((row.name, vm_state, task, status) for vm_state in starts_in)


_STATUS_WHILE: Final = {(vm_state, task): status for _, vm_state, task, status in _exceptions()}
# What a status filter has to look for: (vm_states, operation kinds that must hold the lock; empty: none of them does).
STATUS_FILTER: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    **{status: ((vm_state,), ()) for vm_state, status in states.STATUS.items()},
    **{status: (tuple(dict.fromkeys(vm_state for _, vm_state, _, other in _exceptions() if other == status)),
                tuple(dict.fromkeys(kind for kind, _, _, other in _exceptions() if other == status)))
       for _, _, _, status in _exceptions()},
}


def status_of(vm_state: str, task: str | None) -> str:
    """Return the status users see."""
    return _STATUS_WHILE.get((vm_state, task or "")) or states.STATUS.get(vm_state, "UNKNOWN")


def task_state(kind: str | None, *, placed: bool, hard: bool = False) -> str | None:
    """Return the task state of a server whose lock an operation of `kind` holds (None: no lock)."""
    row = KINDS.get(kind or "")
    if row is None:
        return None
    if hard and row.forceful is not None:
        return row.forceful.shows
    return row.waiting if row.waiting is not None and not placed else row.shows.get("server")


def kinds_showing(task_states: Collection[str]) -> list[str]:
    """Return the operation kinds that may show one of these task states."""
    return [name for name, row in KINDS.items() if set(task_states) & {
        row.shows.get("server"), row.waiting, row.forceful.shows if row.forceful is not None else None}]


def check_may_start(kind: Kind[Any], server_id: str, vm_state: str, *, said_as: str, hard: bool = False) -> None:
    """Raise InvalidState when `kind` may not start on a server in `vm_state`; `said_as` names it in the message."""
    if not kind.may_start_in(vm_state, hard=hard):
        raise errors.InvalidState(action=said_as, resource="instance", id=server_id, attribute="vm_state",
                                  state=vm_state)
