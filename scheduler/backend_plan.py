"""Which back ends may hold a volume, best first: a pure function of a request and the back ends' states.

>>> plan = BackendSelector(filters, weighers).select(request, states)
>>> plan.backends    # best first; claim the first
>>> plan.removed     # {"capacity": (3, 5)}: how many each filter took away, of how many that had reached it
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Mapping, Sequence

from scheduler.backend_filters import BackendFilter
from scheduler.backend_request import BackendRequest
from scheduler.backend_states import BackendState
from scheduler.backend_weighers import BackendWeigher

SERVICE_UP = "service_up"
# A volume that is there already needs no more room to stay, and its node may be silent just now.
_NOT_TO_STAY = frozenset({"capacity", SERVICE_UP, "other_storage", "excluded_backends"})


@dataclasses.dataclass(frozen=True)
class BackendPlan:
    """Ranked back ends, and why the others are not among them; `may_return`: a silent one would have passed."""

    backends: tuple[BackendState, ...]
    removed: dict[str, tuple[int, int]]
    may_return: bool = False


class BackendSelector:
    """The configured filters and weighers; holds no state and may be used by any number of threads."""

    def __init__(self, filters: Mapping[str, BackendFilter],
                 weighers: Mapping[str, tuple[BackendWeigher, float]]) -> None:
        self._filters = dict(filters)
        self._weighers = tuple(weighers.values())

    def select(self, request: BackendRequest, states: Sequence[BackendState]) -> BackendPlan:
        """Return the plan; ties are broken by chance."""
        left = list(states)
        removed: dict[str, tuple[int, int]] = {}
        for name, one in self._filters.items():
            passed = [state for state in left if one.passes(request, state, states)]
            if len(passed) < len(left):
                removed[name] = (len(left) - len(passed), len(left))
            left = passed
            if not left:
                return BackendPlan((), removed, self._may_return(request, states))
        return BackendPlan(tuple(self._rank(request, left)), removed)

    def may_stay(self, request: BackendRequest, state: BackendState, states: Sequence[BackendState]) -> bool:
        """Return whether a volume that is on `state` may remain there."""
        return all(one.passes(request, state, states) for name, one in self._filters.items()
                   if name not in _NOT_TO_STAY)

    def _may_return(self, request: BackendRequest, states: Sequence[BackendState]) -> bool:
        waiting = [state for state in states
                  if (state.enabled and not state.up if request.patient else state.silent)]
        return any(all(one.passes(request, state, states) for name, one in self._filters.items() if name != SERVICE_UP)
                   for state in waiting)

    def _rank(self, request: BackendRequest, states: list[BackendState]) -> list[BackendState]:
        scores = {state.id: 0.0 for state in states}
        for weigher, multiplier in self._weighers:
            values = {state.id: weigher.weigh(request, state) for state in states}
            low, high = min(values.values()), max(values.values())
            for key, value in values.items():
                if high > low:
                    scores[key] += (value - low) / (high - low) * multiplier
        shuffled = random.sample(states, len(states))
        return sorted(shuffled, key=lambda state: -scores[state.id])
