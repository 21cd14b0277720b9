"""Hosts with the traits that flavor and image require, and without those they forbid."""

from __future__ import annotations

from scheduler.request import Request
from scheduler.snapshot import Mask, Snapshot

PREFIX = "trait:"


class Traits:
    """Reads `trait:NAME=required` and `trait:NAME=forbidden` from extra specs and image properties."""

    def mask(self, request: Request, snapshot: Snapshot) -> Mask | None:
        """Return the hosts that have all required and no forbidden traits."""
        mask = None
        for source in (request.extra_specs, request.image_properties):
            for key, wanted in source.items():
                if not key.startswith(PREFIX):
                    continue
                have = snapshot.traits.get(key.removeprefix(PREFIX), snapshot.nobody())
                mask = snapshot.everybody() if mask is None else mask
                if wanted == "required":
                    mask &= have
                elif wanted == "forbidden":
                    mask &= ~have
        return mask
