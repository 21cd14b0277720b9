"""Copies of servers' disks that become images.

The disk of a guest that runs is copied as it is at one moment, while the guest goes on writing; that of one that is
off is read where it lies. Either way the copy is a file of its own, without a base, which is sent to the image store
and then removed. What a killed agent leaves of one is removed by its successor before it serves (`discard_all`).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from compute.diskfile import boots_from_volume
from compute.layout import Layout
from compute.specfile import SpecFiles
from compute.toolbox import Toolbox
from compute.work import Work, Workbench
from hostler import errors
from hostler.context import RequestContext
from hostler.images import sending
from hostler.resources.server import hardware
from hostler.resources.server.specs import ServerSpec
from hostler.resources.volume.specs import UploadSpec

LOG = logging.getLogger(__name__)
Send = Callable[..., None]
_QUEUE_LOOK_S = 0.5


class Snapshots:
    """Makes images of the servers on this host; called by the manager."""

    def __init__(self, tools: Toolbox, layout: Layout, specs: SpecFiles, bench: Workbench, *, max_concurrent: int,
                 send: Send = sending.send) -> None:
        self._tools = tools
        self._layout = layout
        self._specs = specs
        self._bench = bench
        self._places = threading.BoundedSemaphore(max_concurrent)
        self._send = send

    def upload(self, server_id: str, upload: UploadSpec, context: RequestContext) -> None:
        """Copy a server's root disk and send it to the image store; raises AgentError."""
        tools = self._tools
        with self._bench.work_on(server_id, context) as work:
            server = self._specs.load(server_id)
            if server is None or boots_from_volume(server):
                raise errors.AgentError(reason="The server has no local disk on its host.")
            self._wait_for_a_place(work)
            path = self._layout.snapshot(server_id, upload.image_id)
            try:
                self._discard(server_id)
                tools.checkpoint("snapshot.copy", server_id)
                self._copy(server, path, work)
                tools.checkpoint("snapshot.send", server_id)
                self._send(path, upload, check=work.check, progress=work.part(50, 100))
                tools.checkpoint("snapshot.end", server_id)
            finally:
                self._places.release()
                self._discard(server_id)
        LOG.info("The disk of server %s was sent as image %s", server_id, upload.image_id)

    def discard(self, server_id: str, context: RequestContext) -> None:
        """Remove what an upload that was given up left here; fine when there is nothing."""
        with self._bench.work_on(server_id, context):
            self._discard(server_id)

    def discard_all(self) -> None:
        """Remove what a former process of the agent left; called before anything is served."""
        for server_id in self._specs.ids():
            if self._layout.snapshots(server_id):
                LOG.warning("The agent ended while it copied the disk of server %s; the copy is removed", server_id)
                self._discard(server_id)

    def _copy(self, server: ServerSpec, path: Path, work: Work) -> None:
        """Copy the running guest's disk, or the file when the guest is off (or goes off while it is copied)."""
        disk, progress = self._layout.disk(server.id), work.part(0, 50)
        freeze = hardware.freeze_for_snapshots(server)
        # First, so that a successor knows of whatever a killed agent leaves running or frozen in the guest.
        self._layout.snapshot_mark(path).touch()
        if not self._tools.driver.copy_disk(server.id, disk, path, progress, freeze=freeze):
            self._tools.disks.copy(disk, path, progress)

    def _discard(self, server_id: str) -> None:
        left = self._layout.snapshots(server_id)
        if left:
            self._tools.driver.end_copy(server_id)
        for path in left:
            path.unlink(missing_ok=True)

    def _wait_for_a_place(self, work: Work) -> None:
        while not self._places.acquire(timeout=_QUEUE_LOOK_S):
            work.check()
