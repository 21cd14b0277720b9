"""Rebuilding a server: its disks are made again from its (new) image; ports and volumes stay.

The guest and its disks go once for each rebuild, however often the call is repeated: a mark beside the spec names the
operation they went for, so that a repeated call does not take what the new guest has written since.
"""

from __future__ import annotations

import logging

from compute.layout import Layout
from compute.spawn import Spawner
from compute.specfile import SpecFiles
from compute.toolbox import Toolbox
from compute.virt import driver as virt
from compute.work import Work, Workbench
from hostler import errors
from hostler.agent.files import write_atomically
from hostler.context import RequestContext
from hostler.resources.server.specs import ServerSpec

LOG = logging.getLogger(__name__)


class Rebuilder:
    """Rebuilds the servers on this host; called by the manager."""

    def __init__(self, tools: Toolbox, layout: Layout, specs: SpecFiles, bench: Workbench, spawner: Spawner) -> None:
        self._tools = tools
        self._layout = layout
        self._specs = specs
        self._bench = bench
        self._spawner = spawner

    def rebuild(self, server: ServerSpec, context: RequestContext, *, start: bool) -> str:
        """Replace guest and disks, and return the power state: running, or off again unless `start`."""
        with self._bench.work_on(server.id, context) as work:
            if not self._layout.server(server.id).is_dir():
                raise errors.AgentError(reason="The files of the server are not on its host.")
            if server.image is not None:
                self._tools.images.fetch(server.image)  # one that cannot be had must not cost the old disks
            self._wipe(server.id, str(context.operation_id), work)
            state = self._spawner.make(server, work)
            if start:
                return state
            self._tools.driver.power_off(server.id)
            work.ended_in(virt.SHUTDOWN)
            return virt.SHUTDOWN

    def _wipe(self, server_id: str, operation_id: str, work: Work) -> None:
        mark = self._layout.rebuild_mark(server_id)
        if mark.exists() and mark.read_text() == operation_id:
            return
        for step in ("guest", "disks", "mark"):
            work.check()
            self._tools.checkpoint(f"rebuild.{step}", server_id)
            if step == "guest":
                self._tools.driver.destroy(server_id)
            elif step == "disks":
                for path in self._layout.own_disks(server_id):
                    path.unlink(missing_ok=True)
            else:
                write_atomically(mark, operation_id.encode())
        LOG.info("The disks of server %s were removed; it is built again", server_id)
