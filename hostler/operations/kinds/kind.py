"""What is known of one kind of operation, apart from how it is run."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Final, Generic, TypeVar

from hostler.operations.kinds.arguments import Arguments

A = TypeVar("A", bound=Arguments)

# What `Kind.patience` may be besides 1.
BRIEF: Final = 0.2  # late is useless, and nothing is lost by asking again
LONG: Final = 4.0  # giving up leaves a person something to put right, and a machine may take this long to start again


@dataclasses.dataclass(frozen=True, kw_only=True)
class Forceful:
    """The forceful form of a kind (arguments `hard`): more states to start in, another task state and status."""

    starts_in: tuple[str, ...]
    shows: str
    status: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Kind(Generic[A]):
    """One row of the table.

    `starts_in` and `ends_in` are states of the resource (`hostler.resources`); no `starts_in` means that the resource
    is made together with the operation, or that its state does not matter. `shows` maps the type of a locked resource
    to what that resource shows while it is held: a server its task state, all others their status. A server that has
    no host yet shows `waiting` instead, and `status` in place of the status of the state it started in.
    """

    name: str  # stored in operations: append only
    resources: tuple[str, ...]  # types that it may be about
    arguments: type[A]
    starts_in: tuple[str, ...] = ()
    ends_in: str | None = None
    shows: Mapping[str, str] = dataclasses.field(default_factory=dict)
    waiting: str | None = None
    status: str | None = None
    forceful: Forceful | None = None
    action: str | None = None  # its word in a server's action list
    cancellable: bool = True  # a deletion that wants its resource stops it at its next task
    patience: float = 1.0  # times `[conductor] agent_patience` that a silent host or node is waited for
    cancels: bool = False  # asks a cancellable operation that holds its resource to stop, and waits for the lock

    def may_start_in(self, state: str, *, hard: bool = False) -> bool:
        """Return whether the kind (or its forceful form) may start on a resource in `state`."""
        form = self.forceful if hard and self.forceful is not None else self
        return not form.starts_in or state in form.starts_in


@dataclasses.dataclass(frozen=True, kw_only=True)
class Immediate:
    """A change that needs no flow and is only noted among the operations (`hostler.operations.journal`).

    `step` is what the server's host had to do with it.
    """

    name: str
    action: str
    step: str | None = None
