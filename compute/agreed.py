"""What the conductors said last of each server here, so that they need not say it again.

Kept in memory: the first reconciliation of an agent hears everything.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

from hostler.resources.server.specs import ServerSpec


def essence(server: ServerSpec | None) -> ServerSpec | None:
    """Return the spec without its images, whose signed URLs are others each time.

    Only operations change the images themselves, and whether the server is rescued.
    """
    return None if server is None else dataclasses.replace(server, image=None, rescue=None)


class Agreed:
    """Fingerprints (`hostler.resources.server.fingerprints`), each beside the spec that was taken with it."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, ServerSpec | None]] = {}

    def note(self, server: ServerSpec, fingerprint: str) -> None:
        """Remember that the kept spec agrees with the records of this fingerprint."""
        self._known[server.id] = (fingerprint, essence(server))

    def fingerprint_of(self, server: ServerSpec) -> str | None:
        """Return what the spec was last agreed on, None when it has changed since."""
        fingerprint, spec = self._known.get(server.id, (None, None))
        return fingerprint if spec == essence(server) else None

    def keep_only(self, server_ids: Collection[str]) -> None:
        """Forget all other servers."""
        self._known = {server_id: known for server_id, known in self._known.items() if server_id in server_ids}
