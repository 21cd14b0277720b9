"""The decision: a pure function from a request and a snapshot to a plan.

>>> plan = Selector(filters, weighers).select(request, snapshot)
>>> plan.rows        # best first; claim the first that can still be claimed
>>> plan.removed     # {"capacity": 3}: what each filter took away, in order

Nothing is read or changed; the claim (`scheduler.claims`) proves the plan against the database.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from scheduler.filters import Filter
from scheduler.request import Request
from scheduler.snapshot import Mask, Reals, Rows, Snapshot
from scheduler.weighers import Weigher

SERVICE_UP = "service_up"
# Far below any difference that weighers make, above the precision of their sum.
_TIE_BREAK = 1e-9


@dataclasses.dataclass(frozen=True)
class Plan:
    """Ranked rows of the snapshot, and why the others are not among them.

    `removed` maps each filter that took hosts away to (how many, of how many that had reached it). `may_return` says
    that a host which is only silent would have passed everything else.
    """

    rows: tuple[int, ...]
    removed: dict[str, tuple[int, int]]
    may_return: bool = False


class Selector:
    """The configured filters and weighers; holds no state and may be used by any number of threads."""

    def __init__(self, filters: Mapping[str, Filter], weighers: Mapping[str, tuple[Weigher, float]], *,
                 subset_size: int = 1, ranked: int = 10) -> None:
        self._filters = dict(filters)
        self._weighers = tuple(weighers.values())
        self._subset_size = subset_size
        self._ranked = max(ranked, subset_size)

    def select(self, request: Request, snapshot: Snapshot, seed: int | None = None) -> Plan:
        """Return the plan; `seed` makes ties and subsets repeatable."""
        passed, removed = self._filter(request, snapshot)
        rows = np.flatnonzero(passed)
        if not len(rows):
            return Plan((), removed, self._may_return(request, snapshot))
        dice = np.random.Generator(np.random.SFC64(seed))
        return Plan(tuple(self._rank(request, snapshot, rows, dice)), removed)

    def _filter(self, request: Request, snapshot: Snapshot) -> tuple[Mask, dict[str, tuple[int, int]]]:
        passed = snapshot.everybody()
        left = len(snapshot)
        removed: dict[str, tuple[int, int]] = {}
        for name, one in self._filters.items():
            mask = one.mask(request, snapshot)
            if mask is None:
                continue
            passed &= mask
            now_left = int(np.count_nonzero(passed))
            if now_left < left:
                removed[name] = (left - now_left, left)
                left = now_left
            if not left:
                break
        return passed, removed

    def _may_return(self, request: Request, snapshot: Snapshot) -> bool:
        possible = snapshot.enabled & ~snapshot.up if request.patient else snapshot.silent.copy()
        for name, one in self._filters.items():
            if name == SERVICE_UP or not possible.any():
                continue
            mask = one.mask(request, snapshot)
            if mask is not None:
                possible &= mask
        return bool(possible.any())

    def _rank(self, request: Request, snapshot: Snapshot, rows: Rows, dice: np.random.Generator) -> list[int]:
        total = dice.random(len(rows)) * _TIE_BREAK
        for weigher, multiplier in self._weighers:
            values = weigher.weigh(request, snapshot, rows) if multiplier else None
            if values is not None:
                _add_stretched(total, values, multiplier)
        best = _best_first(total, self._ranked)
        if self._subset_size > 1:
            head = best[:self._subset_size].copy()
            dice.shuffle(head)
            best[:self._subset_size] = head
        return [int(row) for row in rows[best]]


def _add_stretched(total: Reals, values: Reals, multiplier: float) -> None:
    """Add `values`, stretched to 0..1, times `multiplier` to `total`; equal values say nothing."""
    low, high = values.min(), values.max()
    if high > low:
        total += (values - low) * (multiplier / (high - low))


def _best_first(total: Reals, count: int) -> Rows:
    size = len(total)
    top = np.argpartition(total, size - count)[-count:] if size > count else np.arange(size)
    ordered: Rows = top[np.argsort(total[top])[::-1]]
    return ordered
