"""What is claimed of back ends, cached by generation, so that a choice need not sum all volumes again.

Every change of a back end's use moves its generation (`hostler.resources.volume.backend_claims`); a remembered sum
holds until then. It is summed again after a minute all the same, and before a request is refused because of it.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Mapping

from sqlalchemy import orm

from hostler.resources.volume import backend_claims

MAX_AGE_S = 60.0


@dataclasses.dataclass(frozen=True)
class _Use:
    generation: int
    gib: int
    summed_at: float


class BackendUses:
    """The sums of one scheduler. Safe for use by many threads."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._known: dict[str, _Use] = {}

    def look(self, session: orm.Session, generations: Mapping[str, int], *, afresh: bool) -> dict[str, int]:
        """Return the use in GiB of back ends whose `generations` were read in this session just before."""
        now = self._now()
        with self._lock:
            found = {} if afresh else {
                key: use.gib for key, generation in generations.items()
                if (use := self._known.get(key)) is not None and use.generation == generation
                and now - use.summed_at < MAX_AGE_S}
        missing = [key for key in generations if key not in found]
        if missing:
            sums = backend_claims.used_gib(session, missing)
            with self._lock:
                for key in missing:
                    found[key] = sums.get(key, 0)
                    self._known[key] = _Use(generations[key], found[key], now)
        return found

    def note_claim(self, backend_id: str, generation: int, gib: int) -> None:
        """Remember a claim of `gib` that made the generation `generation` out of the one before."""
        with self._lock:
            use = self._known.get(backend_id)
            if use is not None and use.generation == generation - 1:
                self._known[backend_id] = dataclasses.replace(use, generation=generation, gib=use.gib + gib)
