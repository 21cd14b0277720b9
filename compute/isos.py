"""ISO images in the CD-ROM drives of servers on this host.

The kept spec names the ISO: it is written before the ISO is put into the guest's drive and after it is out, so that a
start after a crash puts in what belongs there.
"""

from __future__ import annotations

import dataclasses
import logging

from compute.specfile import SpecFiles
from compute.toolbox import Toolbox
from compute.work import Work, Workbench
from hostler.context import RequestContext
from hostler.resources.server.specs import ImageSpec

LOG = logging.getLogger(__name__)


class Isos:
    """Changes what is in the drives of the servers on this host; called by the manager."""

    def __init__(self, tools: Toolbox, specs: SpecFiles, bench: Workbench) -> None:
        self._tools = tools
        self._specs = specs
        self._bench = bench

    def attach(self, server_id: str, iso: ImageSpec, context: RequestContext) -> None:
        """Put an ISO into the server's drive; one that is off gets it when it starts. Raises AgentError."""
        with self._bench.work_on(server_id, context) as work:
            self._specs.require(server_id)
            self._step(work, "attach_iso.image")
            path = self._tools.images.fetch(iso)
            self._step(work, "attach_iso.spec")
            self._specs.update(server_id, lambda kept: dataclasses.replace(kept, iso=iso))
            self._step(work, "attach_iso.insert")
            self._tools.driver.change_medium(server_id, path)
            self._step(work, "attach_iso.end")
        LOG.info("ISO %s is in the drive of server %s", iso.id, server_id)

    def detach(self, server_id: str, context: RequestContext) -> None:
        """Empty the server's drive; fine when it is empty. Raises AgentError when the guest keeps the tray locked."""
        with self._bench.work_on(server_id, context) as work:
            self._step(work, "detach_iso.eject")
            self._tools.driver.change_medium(server_id, None)
            self._step(work, "detach_iso.spec")
            self._specs.update(server_id, lambda kept: dataclasses.replace(kept, iso=None))
            self._step(work, "detach_iso.end")
        LOG.info("The drive of server %s is empty", server_id)

    def _step(self, work: Work, step: str) -> None:
        work.check()
        self._tools.checkpoint(step, work.server_id)
