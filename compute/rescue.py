"""Rescue: the guest runs from a small disk made from an image, with its own root disk beside it, and goes back.

An image that names a rescue device leaves all the server's disks in their places, and its own comes after them.

The spec file says whether a server is rescued, and `Spawner.make` builds the guest accordingly, so that reconciliation
restarts the guest that was running. `unrescue.xml` is the previous definition, byte for byte, so that the guest finds
its devices where they were.

A repeated call goes by the spec file: rescue writes it once the old guest is off and its definition saved, unrescue
once the rescue guest is off.
"""

from __future__ import annotations

import logging

from compute.layout import Layout
from compute.power import Power
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


class Rescuer:
    """Called by the manager."""

    def __init__(self, tools: Toolbox, layout: Layout, specs: SpecFiles, bench: Workbench, spawner: Spawner,
                 power: Power) -> None:
        self._tools = tools
        self._layout = layout
        self._specs = specs
        self._bench = bench
        self._spawner = spawner
        self._power = power

    def rescue(self, server: ServerSpec, context: RequestContext) -> str:
        """Run the rescue disk of `server.rescue`; returns the power state. Raises AgentError."""
        with self._bench.work_on(server.id, context) as work:
            kept = self._require(server.id)
            if kept.rescue is None:
                self._step(work, "rescue.definition")
                self._keep_definition(server.id)
                self._layout.disk(server.id, "disk.rescue").unlink(missing_ok=True)  # of a rescue that was given up
                self._step(work, "rescue.off")
                self._power.switch_off(server.id, work)
            state = self._spawner.make(server, work)
            LOG.info("Server %s is rescued", server.id)
            return state

    def unrescue(self, server: ServerSpec, context: RequestContext, *, start: bool) -> str:
        """Restore the guest from before the rescue; returns the power state. Does no harm when it is not rescued."""
        with self._bench.work_on(server.id, context) as work:
            kept = self._require(server.id)
            if kept.rescue is not None:
                self._step(work, "unrescue.off")
                self._power.switch_off(server.id, work)
            self._step(work, "unrescue.spec")
            server = self._specs.save(server)
            state = self._put_back(server, work, start=start)
            self._step(work, "unrescue.files")
            self._layout.disk(server.id, "disk.rescue").unlink(missing_ok=True)
            self._layout.unrescue(server.id).unlink(missing_ok=True)
            work.ended_in(state)
            LOG.info("Server %s is no longer rescued", server.id)
            return state

    def _put_back(self, server: ServerSpec, work: Work, *, start: bool) -> str:
        tools = self._tools
        try:
            definition = self._layout.unrescue(server.id).read_text()
        except FileNotFoundError:
            # There was no definition, or an earlier call finished this step.
            return self._spawner.make(server, work) if start else tools.driver.get_power_state(server.id)
        for port in server.ports:
            tools.network.plug(server, port)
        for volume in server.volumes:
            tools.connections.resolve(volume)  # raises, naming a volume that cannot be reached
        self._step(work, "unrescue.restore")
        with self._bench.starting(server.id):
            tools.driver.restore(server.id, definition, start=start)
        state = tools.driver.get_power_state(server.id)
        if state in (virt.RUNNING, virt.PAUSED):
            for port in server.ports:
                tools.network.activate(port)
            self._spawner.catch_up(server)
        return state

    def _keep_definition(self, server_id: str) -> None:
        definition = self._tools.driver.definition_of(server_id)
        if definition is None:
            self._layout.unrescue(server_id).unlink(missing_ok=True)
        else:
            write_atomically(self._layout.unrescue(server_id), definition.encode())

    def _require(self, server_id: str) -> ServerSpec:
        kept = self._specs.load(server_id)
        if kept is None:
            raise errors.AgentError(reason="The files of the server are not on its host.")
        return kept

    def _step(self, work: Work, step: str) -> None:
        work.check()
        self._tools.checkpoint(step, work.server_id)
