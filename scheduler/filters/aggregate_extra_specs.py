"""Hosts of aggregates whose metadata fulfils the flavor.

`aggregate_instance_extra_specs:ssd=true` asks for a host of an aggregate with metadata ssd=true. Keys without the
scope are not asked here: they mean other things to other parts.
"""

from __future__ import annotations

from typing import Any

from scheduler.matching import value_matches
from scheduler.request import Request
from scheduler.snapshot import Mask, Snapshot

SCOPE = "aggregate_instance_extra_specs:"


class AggregateExtraSpecs:
    """Passes hosts that fulfil every scoped key by at least one of their aggregates."""

    def mask(self, request: Request, snapshot: Snapshot) -> Mask | None:
        """Return the hosts that fulfil all scoped keys; None when there are none."""
        mask = None
        for key, wanted in request.extra_specs.items():
            if key.startswith(SCOPE):
                found = _hosts_with(snapshot, key.removeprefix(SCOPE), wanted)
                mask = found if mask is None else mask & found
        return mask


def _hosts_with(snapshot: Snapshot, key: str, wanted: Any) -> Mask:
    mask = snapshot.nobody()
    for aggregate in snapshot.aggregates:
        # One metadata value may list several: "hdd,ssd".
        values = aggregate.metadata[key].split(",") if key in aggregate.metadata else ()
        if any(value_matches(value.strip(), wanted) for value in values):
            mask[aggregate.rows] = True
    return mask
