"""The task that writes where a moved volume is, and the end of a move."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from conductor.run import Run
from conductor.tasks.base import OperationTask
from hostler.db.models import Volume
from hostler.operations import notes
from hostler.resources.volume import backend_claims


def end_move(session: orm.Session, run: Run) -> None:
    """Give up the volume's second claim, if any: its target, or after the switch its source."""
    row = session.execute(sa.select(Volume.backend_id, Volume.target_backend_id).where(
        Volume.id == run.resource_id)).one_or_none()
    if row is None or row.target_backend_id is None:
        return
    session.execute(sa.update(Volume).where(Volume.id == run.resource_id).values(target_backend_id=None))
    backend_claims.touch(session, row)


class SwitchRecord(OperationTask):
    """Write that the copy is the volume. Revert: nothing to undo, the volume stays where it surely is whole."""

    weight = 0

    def execute(self, choice: dict[str, Any], moved: dict[str, Any] | None, volume_type_id: str | None = None,
                multiattach: bool | None = None) -> None:
        """Switch; the source stays claimed until it is removed."""
        if moved is None:
            return
        values = {"backend_id": choice["backend_id"], "target_backend_id": choice["source_id"],
                  "provider": moved["provider"], "zone": choice["zone"]}
        if volume_type_id is not None:
            values.update(volume_type_id=volume_type_id, multiattach=multiattach)
        self.run.write(lambda session: self._switch(session, choice, values))

    def _switch(self, session: orm.Session, choice: dict[str, Any], values: dict[str, Any]) -> None:
        session.execute(sa.update(Volume).where(
            Volume.id == self.run.resource_id, Volume.backend_id == choice["source_id"],
            Volume.target_backend_id == choice["backend_id"]).values(**values))
        notes.write(session, self.run.held.id, notes.LEFT_ON, key=choice["source_id"])
