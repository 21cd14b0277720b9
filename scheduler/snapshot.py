"""Every host's state as columns: one NumPy array a property, one row a host.

A filter is a mask over these columns, a weigher a vector, so that a decision costs the same few array passes whether
there are ten hosts or ten thousand. `scheduler.store` makes and renews snapshots; nothing here reads a database.

`used` and `generation` of a row move in place when a claim is made (see `store`); all else is fixed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Mask: TypeAlias = NDArray[np.bool_]
Numbers: TypeAlias = NDArray[np.int64]
Reals: TypeAlias = NDArray[np.float64]
Rows: TypeAlias = NDArray[np.intp]

VCPUS, RAM_MIB, DISK_GIB = 0, 1, 2  # rows of `capacity` and `used`


@dataclasses.dataclass(frozen=True)
class Category:
    """A column of few distinct texts: `codes[row]` is the index of the row's text in `names`."""

    names: tuple[str, ...]
    codes: Numbers

    @classmethod
    def of(cls, values: Sequence[str]) -> Category:
        """Return the column holding `values`."""
        names = tuple(dict.fromkeys(values))
        code = {name: index for index, name in enumerate(names)}
        return cls(names, np.array([code[value] for value in values], dtype=np.int64))

    def equals(self, *texts: str) -> Mask:
        """Return the rows whose text is one of `texts`."""
        mask = np.zeros(len(self.codes), dtype=np.bool_)
        for text in texts:
            if text in self.names:
                mask |= self.codes == self.names.index(text)
        return mask

    def text(self, row: int) -> str:
        """Return one row's text."""
        return self.names[int(self.codes[row])]


@dataclasses.dataclass(frozen=True)
class AggregateState:
    """An aggregate's metadata and the rows of its hosts."""

    metadata: dict[str, str]
    rows: Rows


@dataclasses.dataclass(frozen=True, kw_only=True)
class Snapshot:
    """All hosts as of one moment. `up` and `silent` are judged at `read_at` (seconds since the epoch).

    `enabled` hosts are those that no administrator took out; `in_service` ones are healthy besides. `silent` hosts are
    in service but have not reported for a while, though lately enough that they may come back.
    """

    read_at: float
    ids: tuple[str, ...]
    names: tuple[str, ...]
    row_of: dict[str, int]
    row_named: dict[str, int]
    generation: Numbers
    capacity: Numbers  # [3, hosts]
    used: Numbers  # [3, hosts]
    enabled: Mask
    in_service: Mask
    last_seen: Reals
    up: Mask
    silent: Mask
    zone: Category
    arch: Category
    hypervisor_type: Category
    traits: dict[str, Mask]
    aggregates: tuple[AggregateState, ...]
    io_ops: Numbers
    build_failures: Numbers

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def free(self) -> Numbers:
        """What is left, [3, hosts]."""
        return self.capacity - self.used

    def nobody(self) -> Mask:
        """Return a mask of no rows."""
        return np.zeros(len(self.ids), dtype=np.bool_)

    def everybody(self) -> Mask:
        """Return a mask of all rows."""
        return np.ones(len(self.ids), dtype=np.bool_)

    def mask_of(self, hosts: Iterable[str]) -> Mask:
        """Return the rows of these hosts, named by id or by name; unknown ones are left out."""
        mask = self.nobody()
        for host in hosts:
            row = self.row_of.get(host, self.row_named.get(host))
            if row is not None:
                mask[row] = True
        return mask

    def counts_of(self, host_ids: Iterable[str]) -> Numbers:
        """Return how often each row's host occurs in `host_ids`."""
        counts = np.zeros(len(self.ids), dtype=np.int64)
        for host_id in host_ids:
            if host_id in self.row_of:
                counts[self.row_of[host_id]] += 1
        return counts

    def renewed(self, **columns: Any) -> Snapshot:
        """Return this snapshot with some columns replaced."""
        return dataclasses.replace(self, **columns)
