"""Hosts with the traits that flavor, image and networks require, and without those they forbid."""

from __future__ import annotations

from hostler.resources.network import kinds
from scheduler.request import Request
from scheduler.snapshot import Mask, Snapshot

PREFIX = "trait:"


class Traits:
    """Reads `trait:NAME=required` and `trait:NAME=forbidden` from extra specs and image properties, and `networks`."""

    def mask(self, request: Request, snapshot: Snapshot) -> Mask | None:
        """Return the hosts that have all required and no forbidden traits."""
        mask = _carrying(request, snapshot) if request.networks else None
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


def _carrying(request: Request, snapshot: Snapshot) -> Mask:
    """Return the hosts that can carry the server's networks; agents of an earlier release do not say what they have."""
    silent = ~snapshot.traits.get(kinds.REPORTED, snapshot.nobody())
    mask = snapshot.everybody()
    for trait in request.networks:
        have = snapshot.traits.get(trait, snapshot.nobody())
        mask &= have | silent if trait.startswith(kinds.PHYSICAL) else have
    return mask
