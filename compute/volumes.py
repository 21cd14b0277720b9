"""Volumes of servers on this host: attach, detach, resize, and what is really there.

The kept spec names every volume that the guest may have: it is written before a volume is plugged and after one is
out, so that a crash in between leaves no volume unknown. A guest gives a volume back in its own time. One that ignores
the request until the deadline keeps the volume, and so do its definition and its spec; `compute.released` follows it
when it lets go later.
"""

from __future__ import annotations

import dataclasses
import logging
from typing import Any

from compute.specfile import SpecFiles
from compute.toolbox import Toolbox
from compute.unplug import unplug
from compute.virt import driver as virt
from compute.work import Work, Workbench
from hostler import errors
from hostler.context import RequestContext
from hostler.resources.server.specs import AttachedSpec, ServerSpec

LOG = logging.getLogger(__name__)


class Volumes:
    """Changes which volumes the servers on this host have; called by the manager."""

    def __init__(self, tools: Toolbox, specs: SpecFiles, bench: Workbench) -> None:
        self._tools = tools
        self._specs = specs
        self._bench = bench

    def attach(self, server_id: str, volume: AttachedSpec, context: RequestContext) -> None:
        """Give the server a volume; one that is off gets it when it starts. Raises AgentError."""
        tools = self._tools
        with self._bench.work_on(server_id, context):
            if self._specs.load(server_id) is None:
                raise errors.AgentError(reason="The files of the server are not on its host.")
            tools.checkpoint("attach.connection", server_id)
            disk = tools.connections.resolve(volume)
            state = tools.driver.get_power_state(server_id)
            if state == virt.SUSPENDED:
                raise errors.AgentError(reason="A volume cannot be attached to a suspended server.")
            tools.checkpoint("attach.spec", server_id)
            self._specs.update(server_id, lambda kept: _with(kept, volume))
            if state != virt.NOSTATE:
                tools.checkpoint("attach.plug", server_id)
                tools.driver.attach_volume(server_id, disk)
            tools.checkpoint("attach.end", server_id)
        LOG.info("Volume %s attached to server %s as %s", volume.volume_id, server_id, disk.target)

    def detach(self, server_id: str, volume_id: str, timeout_s: float, context: RequestContext) -> None:
        """Take a volume from the server; fine when it has not got it. Raises AgentError after `timeout_s`."""
        tools = self._tools
        with self._bench.work_on(server_id, context) as work:
            if tools.driver.get_power_state(server_id) == virt.SUSPENDED:
                # Its saved memory would still name the disk, and could not be woken without it.
                raise errors.AgentError(reason="A volume cannot be detached from a suspended server.")
            tools.checkpoint("detach.unplug", server_id)
            self._unplug(server_id, volume_id, timeout_s, work)
            tools.checkpoint("detach.spec", server_id)
            self._specs.update(server_id, lambda kept: _without(kept, volume_id))
            tools.checkpoint("detach.end", server_id)
        LOG.info("Volume %s detached from server %s", volume_id, server_id)

    def resize(self, server_id: str, volume_id: str, size_bytes: int, context: RequestContext) -> None:
        """Make the server see its volume's new size; of a file, it is this host that grows it."""
        with self._bench.work_on(server_id, context):
            server = self._specs.load(server_id)
            volume = next((volume for volume in server.volumes if volume.volume_id == volume_id), None
                          ) if server is not None else None
            if volume is None:
                raise errors.AgentError(reason=f"The server has no volume {volume_id} on its host.")
            self._tools.checkpoint("resize.volume", server_id)
            if not self._tools.driver.resize_volume(server_id, volume_id, size_bytes):
                self._tools.connections.grow(volume, size_bytes)
            self._tools.checkpoint("resize.end", server_id)

    def inventory(self) -> dict[str, dict[str, Any]]:
        """Return power state and volumes of everything here; of what is not defined, the volumes its spec names."""
        states, plugged = self._tools.driver.list_servers(), self._tools.driver.list_volumes()
        found = {server_id: {"power_state": state, "volumes": sorted(plugged.get(server_id, ()))}
                 for server_id, state in states.items()}
        for server_id in self._specs.ids():
            if server_id not in found:
                server = self._specs.load(server_id)
                volumes = sorted(volume.volume_id for volume in server.volumes) if server is not None else []
                found[server_id] = {"power_state": virt.NOSTATE, "volumes": volumes}
        return found

    def _unplug(self, server_id: str, volume_id: str, timeout_s: float, work: Work) -> None:
        if unplug(work, lambda ask: self._tools.driver.detach_volume(server_id, volume_id, ask=ask), timeout_s):
            return
        LOG.warning("Server %s did not let go of volume %s in %s s", server_id, volume_id, timeout_s)
        raise errors.AgentError(reason=f"The guest did not let go of volume {volume_id} in {timeout_s:g} seconds; it "
                                       "is still attached. Unmount it in the guest, or stop the server, and try "
                                       "again.")


def _with(server: ServerSpec, volume: AttachedSpec) -> ServerSpec:
    others = _without(server, volume.volume_id).volumes
    return dataclasses.replace(server, volumes=(*others, volume))


def _without(server: ServerSpec, volume_id: str) -> ServerSpec:
    return dataclasses.replace(server, volumes=tuple(
        volume for volume in server.volumes if volume.volume_id != volume_id))
