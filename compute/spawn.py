"""Making a server run on this host, and removing it; both safe to repeat from any point where a try broke off.

Spawning, in numbered steps; each looks first at what is there already:

1. `spec`     the spec is kept beside the disk, so that whatever follows can be found and undone after a crash
2. `ports`    bridge, DHCP, metadata and filters of each port
3. `image`    the image in the host's cache
4. `disk`     overlay, ephemeral and swap disks, config drive; 3 and 4 go on beside 2, since neither needs the other
5. `start`    its volumes found, the guest defined and started
6. `activate` what needs the tap devices: filters

A failure leaves what was made: the conductor decides whether to try again or to destroy.
"""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Iterable, Mapping
from concurrent import futures

from compute import console
from compute.guest_volumes import guest_volumes
from compute.layout import Layout
from compute.specfile import SpecFiles
from compute.toolbox import Toolbox
from compute.virt import driver as virt
from compute.work import Work, Workbench
from hostler import errors
from hostler.context import RequestContext
from hostler.resources.server.specs import PortSpec, ServerSpec

LOG = logging.getLogger(__name__)


class Spawner:
    """Builds and removes servers; called by the manager, `compute.power` and `compute.reconcile`."""

    def __init__(self, tools: Toolbox, layout: Layout, specs: SpecFiles, bench: Workbench, *,
                 max_concurrent_builds: int, console_max_bytes: int) -> None:
        self._tools = tools
        self._layout = layout
        self._specs = specs
        self._bench = bench
        self._builds = threading.BoundedSemaphore(max_concurrent_builds)
        self._console_max_bytes = console_max_bytes

    def spawn(self, server: ServerSpec, context: RequestContext) -> str:
        """Make `server` run and return its power state; raises AgentError with a reason the user may read."""
        with self._bench.work_on(server.id, context) as work, self._builds:
            return self.make(server, work)

    def prepare(self, server: ServerSpec, context: RequestContext) -> str:
        """Make what `server` starts from (spec, ports, disks), switched off; returns the power state."""
        with self._bench.work_on(server.id, context) as work, self._builds:
            self._tools.driver.power_off(server.id)
            self._step(work, "spec")
            server = self._specs.save(server)
            self._step(work, "ports")
            self._plug_and_make_disks(server, work)
            self.catch_up(server)
            self._step(work, "end")
            work.ended_in(virt.SHUTDOWN)
            return virt.SHUTDOWN

    def make(self, server: ServerSpec, work: Work) -> str:
        """Run the numbered steps under `work` (the caller holds the server)."""
        tools = self._tools
        self._step(work, "spec")
        before = self._specs.ports_of(server.id)
        server = self._specs.save(server)
        self._step(work, "ports")
        wanted = {port.id for port in server.ports}
        for port in before:
            if port.id not in wanted:  # detached while the host was silent
                tools.network.unplug(port)
        state = tools.driver.get_power_state(server.id)
        if state in (virt.RUNNING, virt.PAUSED):
            self._plug(server)
        else:
            state = self._start(server, work)
        self._step(work, "activate")
        for port in server.ports:
            tools.network.activate(port)
        self.catch_up(server)
        self._step(work, "end")
        work.ended_in(state)
        return state

    def catch_up(self, server: ServerSpec) -> None:
        """Put into force what changed while `server` was plugged; whatever changes from now on does so by itself."""
        newest = self._specs.load(server.id)
        if newest is None:
            return
        known = {port.id: port.revision for port in server.ports}
        late = [port for port in newest.ports if port.revision > known.get(port.id, 0)]
        if late:
            self._tools.network.apply_rules(late)
        if late or newest.revision > server.revision:
            self._tools.network.update_server(newest)

    def destroy(self, server_id: str, ports: Iterable[PortSpec], context: RequestContext | None) -> None:
        """Remove guest, ports and files; fine when nothing (or only a part) is there."""
        with self._bench.work_on(server_id, context) as work:
            self.unmake(server_id, ports, work)

    def unmake(self, server_id: str, ports: Iterable[PortSpec], work: Work) -> None:
        """Remove everything under `work`: the guest first, then its ports, its files last."""
        self._step(work, "guest", "destroy")
        self._tools.driver.destroy(server_id)
        self._step(work, "ports", "destroy")
        known = {port.id: port for port in (*self._specs.ports_of(server_id), *ports)}
        for port in known.values():
            self._tools.network.unplug(port)
        self._step(work, "files", "destroy")
        self._specs.remove(server_id)
        shutil.rmtree(self._layout.incoming(server_id), ignore_errors=True)
        self._step(work, "end", "destroy")
        work.ended_in(virt.NOSTATE)
        LOG.info("Server %s removed from this host", server_id)

    def _start(self, server: ServerSpec, work: Work) -> str:
        tools = self._tools
        bridges, disks = self._plug_and_make_disks(server, work)
        self._step(work, "start")
        console.cut(self._layout.console_log(server.id), self._console_max_bytes)
        guest = self.describe(server, bridges, disks)
        with self._bench.starting(server.id):
            tools.driver.create(guest)
        LOG.info("Server %s started", server.id)
        return virt.RUNNING

    def describe(self, server: ServerSpec, bridges: Mapping[str, str], disks: tuple[virt.Disk, ...]) -> virt.Guest:
        """Return the guest to be defined; raises AgentError for a volume that cannot be reached from here."""
        tools = self._tools
        log = self._layout.console_log(server.id)
        log.touch(mode=0o600)
        nics = tuple(virt.Nic(port.id, port.mac_address, bridges[port.id], tools.tap_name(port.id), port.network.mtu)
                     for port in server.ports)
        volumes = tuple(tools.connections.resolve(volume) for volume in guest_volumes(server))
        # "No other disk" in a rescue, unless the rescue image names a device.
        bare = server.rescue is not None and server.rescue.device is None
        iso = tools.images.fetch(server.iso) if server.iso is not None and not bare else None
        return virt.Guest(server, disks, nics, log, volumes, iso)

    def _plug_and_make_disks(self, server: ServerSpec, work: Work) -> tuple[dict[str, str], tuple[virt.Disk, ...]]:
        with futures.ThreadPoolExecutor(1, "disks") as pool:  # both have ended when one of them has failed
            making = pool.submit(self._make_disks, server, work)
            return self._plug(server), making.result()

    def _plug(self, server: ServerSpec) -> dict[str, str]:
        return {port.id: self._tools.network.plug(server, port) for port in server.ports}

    def _make_disks(self, server: ServerSpec, work: Work) -> tuple[virt.Disk, ...]:
        self._step(work, "image")
        image = server.image if server.rescue is None else server.rescue.image
        base = self._tools.images.fetch(image) if image is not None else None
        self._step(work, "disk")
        return self._tools.disks.ensure(server, base)

    def _step(self, work: Work, step: str, verb: str = "spawn") -> None:
        work.check()
        try:
            self._tools.checkpoint(f"{verb}.{step}", work.server_id)
        except errors.HostlerError:
            LOG.info("%s of server %s stopped before step %s", verb, work.server_id, step)
            raise
