"""Tasks on the volumes that live and die with a server: made for it, deleted with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from conductor.run import Run
from conductor.tasks.base import OperationTask
from conductor.tasks.node.calls import delete_at
from conductor.tasks.node.volumes import create_volume
from conductor.tasks.records.server_volumes import doomed_volumes, new_volumes
from hostler import errors
from hostler.db.models import Volume
from hostler.resources.volume import records as volume_records


class FillVolumes(OperationTask):
    """Have the back ends make the new volumes. Revert: nothing to undo, PlaceVolumes removes them.

    They outlive a failed host: the next one finds them made.
    """

    def execute(self, sources: Mapping[str, str | None]) -> None:
        """Make each; what is whole is left as it is."""
        with self.run.reading() as session:
            volume_ids = [volume.id for volume in new_volumes(session, self.run)]
        for volume_id in volume_ids:
            try:
                self._fill(volume_id, sources.get(volume_id))
            except errors.AgentError as error:
                raise errors.VolumeFailed(id=volume_id, reason=str(error)) from error

    def _fill(self, volume_id: str, source: str | None) -> None:
        with self.run.reading() as session:
            place = volume_records.place_of_volume(session, volume_id)
        if place is None:
            raise errors.Conflict(reason=f"Volume {volume_id} is on no back end.")
        answer = create_volume(self.run, volume_id, place.node, source)
        self.run.write(lambda session: session.execute(
            sa.update(Volume).where(Volume.id == volume_id).values(provider=answer["provider"])))


class DeleteVolumes(OperationTask):
    """Have the back ends remove the volumes that go with their server. Revert: nothing to undo, what is gone is gone.

    A volume that something else needs (a snapshot, another server) stays, as does one that its back end cannot remove.
    """

    default_provides = "volumes"

    def execute(self) -> dict[str, Any]:
        """Return {"deleted": [ids], "failed": {id: why}}."""
        with self.run.reading() as session:
            volume_ids = doomed_volumes(session, self.run)
        deleted: list[str] = []
        left: dict[str, str] = {}
        for volume_id in volume_ids:
            try:
                remove(self.run, volume_id)
                deleted.append(volume_id)
            except (errors.AgentError, errors.Unavailable) as error:
                left[volume_id] = str(error)
        return {"deleted": deleted, "failed": left}


def remove(run: Run, volume_id: str) -> None:
    """Have a volume's back end remove it with its exports; fine when it is on none."""
    with run.reading() as session:
        backend_id = session.scalar(sa.select(Volume.backend_id).where(Volume.id == volume_id))
    if backend_id is not None:
        delete_at(run, volume_id, backend_id)
