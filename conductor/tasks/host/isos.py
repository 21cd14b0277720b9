"""Tasks that have a host change what is in a server's CD-ROM drive."""

from __future__ import annotations

from typing import Any

from conductor.tasks.base import OperationTask
from conductor.tasks.host.servers import require_host
from conductor.tasks.node.calls import tried
from hostler import errors
from hostler.resources.server.records import usable_image_spec


class InsertIso(OperationTask):
    """Have the host put an ISO into the server's drive. Revert: have it taken out."""

    def execute(self, image_id: str) -> None:
        """Insert; fails for a guest that runs without a drive."""
        run = self.run
        with run.reading() as session:
            iso = usable_image_spec(session, run.conf, run.cloud.images, image_id)
        if iso is None:
            raise errors.Conflict(reason=f"Image {image_id} is gone.")
        run.ask_host(require_host(run), run.cloud.compute.attach_iso, run.resource_id, iso)

    def revert(self, **_: Any) -> None:
        """Eject; a guest that keeps its tray locked has the ISO until its next start."""
        run = self.run
        tried(f"an ISO may be left in the drive of server {run.resource_id} until it is started next",
              lambda: run.ask_host(require_host(run), run.cloud.compute.detach_iso, run.resource_id))


class EjectIso(OperationTask):
    """Have the host empty the server's drive. Revert: nothing to undo."""

    def execute(self) -> None:
        """Eject; fails when the guest keeps its tray locked."""
        self.run.ask_host(require_host(self.run), self.run.cloud.compute.detach_iso, self.run.resource_id)
