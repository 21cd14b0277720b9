"""The host that was asked for by name."""

from __future__ import annotations

from scheduler.request import Request
from scheduler.snapshot import Mask, Snapshot


class RequestedHost:
    """Passes the named host only; without a name, all."""

    def mask(self, request: Request, snapshot: Snapshot) -> Mask | None:
        """Return the one host, or none when its name is unknown."""
        if not request.host:
            return None
        mask = snapshot.nobody()
        if (row := snapshot.row_named.get(request.host)) is not None:
            mask[row] = True
        return mask
