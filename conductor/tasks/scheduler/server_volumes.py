"""The task that finds back ends for a new server's volumes."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from conductor.tasks.base import OperationTask
from conductor.tasks.node.calls import tried
from conductor.tasks.node.server_volumes import remove
from conductor.tasks.records.server_volumes import new_volumes
from conductor.tasks.records.volumes import release_backend
from conductor.tasks.scheduler.backends import backend_request


class PlaceVolumes(OperationTask):
    """Have the scheduler claim a back end for each new volume of the server, for all or for none.

    Revert: remove the volumes there and release the claims.
    """

    def execute(self, sources: Mapping[str, str | None]) -> None:
        """Claim; a volume that is on a back end stays there."""
        with self.run.reading() as session:
            requests = [backend_request(session, volume.id, sources.get(volume.id))
                        for volume in new_volumes(session, self.run)]
        if requests:
            self.run.ask_for_backends(requests)

    def revert(self, **_: Any) -> None:
        """Remove and release."""
        with self.run.reading() as session:
            volume_ids = [volume.id for volume in new_volumes(session, self.run) if volume.backend_id is not None]
        for volume_id in volume_ids:
            # It is marked as deleted at the end: what is left of it, its node is told to remove when it reconciles.
            tried(f"volume {volume_id} of failed server {self.run.resource_id} may be left on its back end",
                  functools.partial(remove, self.run, volume_id))
            self.run.write(functools.partial(release_backend, volume_id=volume_id))
