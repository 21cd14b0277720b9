"""The task that makes an image of a server's disk."""

from __future__ import annotations

from typing import Any

from conductor.tasks.base import OperationTask
from conductor.tasks.host.servers import host_of
from conductor.tasks.node.calls import tried
from conductor.tasks.records import images
from hostler import errors

SNAPSHOT_FORMAT = "qcow2"


class UploadServer(OperationTask):
    """Have the host send the server's root disk to the image store. Revert: have it remove what it has of the copy.

    The image waits (`queued`) since the operation was accepted. A failed flow's end removes it: `images.remove`.
    """

    def execute(self, image_id: str) -> None:
        """Send it, and see that the image has it."""
        run, host = self.run, host_of(self.run)
        if host is None:
            raise errors.Conflict(reason=f"Instance {run.resource_id} is on no host.")
        images.fill(run, image_id, SNAPSHOT_FORMAT, lambda upload: run.ask_host_to_copy(
            host, run.cloud.compute.upload_server, run.resource_id, upload))

    def revert(self, **_: Any) -> None:
        """Remove it; a host that stays silent does so when its agent starts."""
        run, host = self.run, host_of(self.run)
        if host is not None:
            tried(f"a copy of server {run.resource_id}'s disk may be left on its host until the agent starts again",
                  lambda: run.ask_host(host, run.cloud.compute.discard_upload, run.resource_id))
