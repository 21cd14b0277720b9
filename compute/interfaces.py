"""Network cards of servers on this host: plugged into a server that is here, and taken out of it.

The kept spec names every port that the guest may have: it is written before a NIC is plugged and after one is out, so
that a crash in between leaves no port unknown. A guest that ignores the request until the deadline keeps its NIC, and
so do its definition, its spec and the host's network.
"""

from __future__ import annotations

import dataclasses
import logging

from compute.spawn import Spawner
from compute.specfile import SpecFiles
from compute.toolbox import Toolbox
from compute.unplug import unplug
from compute.virt import driver as virt
from compute.work import Work, Workbench
from hostler import errors
from hostler.context import RequestContext
from hostler.resources.server.specs import PortSpec, ServerSpec

LOG = logging.getLogger(__name__)
_ON = (virt.RUNNING, virt.PAUSED)


class Interfaces:
    """Changes which NICs the servers on this host have; called by the manager and by reconciliation."""

    def __init__(self, tools: Toolbox, specs: SpecFiles, bench: Workbench, spawner: Spawner) -> None:
        self._tools = tools
        self._specs = specs
        self._bench = bench
        self._spawner = spawner

    def attach(self, server_id: str, port: PortSpec, context: RequestContext) -> None:
        """Give the server a NIC; one that is off gets it when it starts. Raises AgentError."""
        with self._bench.work_on(server_id, context) as work:
            if self._specs.load(server_id) is None:
                raise errors.AgentError(reason="The files of the server are not on its host.")
            if self._tools.driver.get_power_state(server_id) == virt.SUSPENDED:
                raise errors.AgentError(reason="An interface cannot be attached to a suspended server.")
            self._tools.checkpoint("attach_nic.spec", server_id)
            server = self._specs.update(server_id, lambda kept: _with(kept, port))
            if server is not None:
                self.plug(server, port, work)
            self._tools.checkpoint("attach_nic.end", server_id)
        LOG.info("Port %s attached to server %s", port.id, server_id)

    def plug(self, server: ServerSpec, port: PortSpec, work: Work) -> None:
        """Connect a port that the kept spec names, and plug it into the guest (the caller holds the server)."""
        tools = self._tools
        work.check()
        bridge = tools.network.plug(server, port)
        state = tools.driver.get_power_state(server.id)
        if state != virt.NOSTATE:
            tools.checkpoint("attach_nic.plug", server.id)
            tools.driver.attach_interface(server, virt.Nic(port.id, port.mac_address, bridge, tools.tap_name(port.id),
                                                           port.network.mtu))
        if state in _ON:
            tools.network.activate(port)
        tools.network.update_server(server)
        self._spawner.catch_up(server)

    def detach(self, server_id: str, port: PortSpec, timeout_s: float, context: RequestContext) -> None:
        """Take a NIC from the server; fine when it has not got it. Raises AgentError after `timeout_s`."""
        with self._bench.work_on(server_id, context) as work:
            if self._tools.driver.get_power_state(server_id) == virt.SUSPENDED:
                # Its saved memory would still name the device, and could not be woken without it.
                raise errors.AgentError(reason="An interface cannot be detached from a suspended server.")
            self._tools.checkpoint("detach_nic.unplug", server_id)
            driver = self._tools.driver
            if not unplug(work, lambda ask: driver.detach_interface(server_id, port.id, ask=ask), timeout_s):
                LOG.warning("Server %s did not let go of port %s in %s s", server_id, port.id, timeout_s)
                raise errors.AgentError(reason=f"The guest did not let go of port {port.id} in {timeout_s:g} seconds; "
                                               "it is still attached.")
            self._tools.checkpoint("detach_nic.network", server_id)
            self._tools.network.unplug(port)
            self._tools.checkpoint("detach_nic.spec", server_id)
            server = self._specs.update(server_id, lambda kept: _without(kept, port.id))
            if server is not None:
                self._tools.network.update_server(server)
            self._tools.checkpoint("detach_nic.end", server_id)
        LOG.info("Port %s detached from server %s", port.id, server_id)

    def reset(self, server: ServerSpec, context: RequestContext) -> None:
        """Make bridge, DHCP, metadata and filters of every NIC again."""
        with self._bench.work_on(server.id, context) as work:
            self._specs.refresh(server)
            server = self._specs.require(server.id)
            on = self._tools.driver.get_power_state(server.id) in _ON
            for port in server.ports:
                work.check()
                self._tools.checkpoint("reset_network.plug", server.id)
                self._tools.network.plug(server, port)
                if on:
                    self._tools.network.activate(port)
            self._spawner.catch_up(server)
        LOG.info("The network of server %s was made again", server.id)

    def release(self, server_id: str, port: PortSpec) -> None:
        """Take out a NIC that the server should not have any more (the caller holds the server).

        A guest that does not let go at once keeps a device that is connected to nothing.
        """
        gone = self._tools.driver.detach_interface(server_id, port.id)
        self._tools.network.unplug(port)
        LOG.warning("Server %s had port %s, which is not its own any more: %s", server_id, port.id,
                    "taken out" if gone else "disconnected; its guest was asked to let go")


def _with(server: ServerSpec, port: PortSpec) -> ServerSpec:
    return dataclasses.replace(server, ports=(*_without(server, port.id).ports, port))


def _without(server: ServerSpec, port_id: str) -> ServerSpec:
    return dataclasses.replace(server, ports=tuple(port for port in server.ports if port.id != port_id))
