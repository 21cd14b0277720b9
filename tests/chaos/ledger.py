"""What was promised: each thing a client made, and the states in which the cloud may leave it.

An answered request leaves one allowed state, a refused one changes nothing, and one whose answer was lost leaves two.
"""

from __future__ import annotations

import dataclasses
import threading

GONE = "gone"


@dataclasses.dataclass
class Thing:
    """One resource. `id` is None while the answer to its creation is lost: it is looked for by name."""

    noun: str
    name: str
    allowed: set[str]
    id: str | None = None
    maybe_off: bool = False  # of a server that waits for a way back: an excused round may have left it off before
    volumes: set[str] = dataclasses.field(default_factory=set)  # of a server: what was attached for certain

    @property
    def certain(self) -> bool:
        """Whether its id and its state are known."""
        return self.id is not None and len(self.allowed) == 1


class Ledger:
    """The things of one client, and violations found on the way; read and written by several threads."""

    def __init__(self) -> None:
        self.things: list[Thing] = []
        self.violations: list[str] = []
        self.counts: dict[tuple[str, str], int] = {}
        self._lock = threading.Lock()

    def of(self, noun: str, *states: str) -> list[Thing]:
        """Return the certain things of a kind in one of `states`."""
        return [thing for thing in self.things if thing.noun == noun and thing.certain and thing.allowed <= set(states)]

    def let_go(self, volumes: set[str], *, certainly: bool) -> None:
        """Note that a server's volumes come back with its deletion, or may."""
        for thing in self.things:
            if thing.id in volumes:
                thing.allowed = {"available"} if certainly else {"available", "in-use", "reserved"}

    def count(self, verb: str, outcome: str) -> None:
        """Note how a request ended."""
        with self._lock:
            self.counts[verb, outcome] = self.counts.get((verb, outcome), 0) + 1

    def violate(self, what: str) -> None:
        """Note a violation."""
        with self._lock:
            self.violations.append(what)
