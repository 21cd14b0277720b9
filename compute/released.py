"""Volumes that a guest let go of late, after the request for it had timed out: the records follow the guest.

A detach that fails by its deadline leaves the volume attached, in the guest's definition and in its spec. The request
stays with the guest, however: one that is paused, crashed or busy may obey minutes later. Then the conductors are
told, who detach the volume as if it had been asked for again; it goes nowhere but to `available`.
"""

from __future__ import annotations

import logging
import threading
from typing import Any, Protocol

from compute.specfile import SpecFiles
from compute.toolbox import Toolbox
from compute.virt import driver as virt
from compute.work import Workbench
from hostler import errors
from hostler.agent.periodic import Periodic
from hostler.context import RequestContext

LOG = logging.getLogger(__name__)
_RUNS = (virt.RUNNING, virt.PAUSED)


class ReleaseSink(Protocol):
    """The conductors, as far as released volumes go."""

    def volumes_released(self, context: RequestContext, host: str, released: list[dict[str, Any]]) -> None:
        """Take attachments whose volumes their guests let go of: [{"server_id", "attachment_id"}]."""


class ReleasedVolumes:
    """Collects what may have been let go of, checks it in a thread of its own, and reports it."""

    def __init__(self, host: str, tools: Toolbox, specs: SpecFiles, bench: Workbench, sink: ReleaseSink) -> None:
        self._host = host
        self._tools = tools
        self._specs = specs
        self._bench = bench
        self._sink = sink
        self._lock = threading.Lock()
        self._noted: set[tuple[str, str]] = set()
        self._periodic = Periodic("released-volumes", 3600, self.run, retry_s=2.0)

    def start(self) -> None:
        """Begin to check."""
        self._periodic.start()

    def stop(self) -> None:
        """End."""
        self._periodic.stop()

    def note(self, server_id: str, volume_id: str) -> None:
        """Have a volume checked soon; returns at once. A detach under way also ends with this event."""
        with self._lock:
            self._noted.add((server_id, volume_id))
        self._periodic.wake()

    def look(self, states: dict[str, str]) -> None:
        """Note what running servers should have and have not: events were missed while the agent did not run."""
        wanted = {server.id: {volume.volume_id for volume in server.volumes} for server in self._specs.all()
                  if server.volumes and server.rescue is None and states.get(server.id) in _RUNS}
        if wanted:
            present = self._tools.driver.list_volumes()
            for server_id, volume_ids in wanted.items():
                for volume_id in volume_ids.difference(present.get(server_id, ())):
                    self.note(server_id, volume_id)

    def run(self) -> None:
        """Check and report what was noted; raises Silent when no conductor answers, what was noted stays then."""
        with self._lock:
            noted = sorted(self._noted)
        for server_id, volume_id in noted:
            attachment_id = self._released(server_id, volume_id)
            if attachment_id is not None:
                LOG.warning("Server %s let go of volume %s late; telling the conductors", server_id, volume_id)
                self._sink.volumes_released(RequestContext.system(), self._host, [
                    {"server_id": server_id, "attachment_id": attachment_id}])
            with self._lock:
                self._noted.discard((server_id, volume_id))

    def _released(self, server_id: str, volume_id: str) -> str | None:
        """Return the attachment of a volume that a running server is to have and has not.

        Under the server's lock: a detach or attach under way has ended then, and says itself what came of it.
        """
        try:
            with self._bench.work_on(server_id, None):
                server = self._specs.load(server_id)
                volume = next((each for each in server.volumes if each.volume_id == volume_id), None
                              ) if server is not None and server.rescue is None else None
                if volume is None or volume.boot_index == 0:
                    return None
                if self._tools.driver.get_power_state(server_id) not in _RUNS:
                    return None
                gone = volume_id not in self._tools.driver.list_volumes().get(server_id, ())
                return volume.attachment_id if gone else None
        except errors.AgentError as error:
            LOG.warning("Whether server %s has volume %s is unknown: %s", server_id, volume_id, error)
            return None
