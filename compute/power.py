"""Power of servers: start, stop, reboot, pause and suspend. Asking for what already is succeeds.

Start and the second half of a reboot are the path of a boot (`Spawner.make`): the guest is defined again from the
spec, missing files are made again, ports plugged and filters applied.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from compute.layout import Layout
from compute.spawn import Spawner
from compute.specfile import SpecFiles
from compute.toolbox import Toolbox
from compute.virt import driver as virt
from compute.work import Work, Workbench
from hostler import errors
from hostler.context import RequestContext
from hostler.resources.server import hardware
from hostler.resources.server.specs import ServerSpec

LOG = logging.getLogger(__name__)
# A guest that is still booting misses the power button, so it is pressed again.
PRESS_AGAIN_S = 10.0
POLL_S = (0.02, 0.5)  # first and longest pause between two looks
OFF = (virt.SHUTDOWN, virt.CRASHED, virt.SUSPENDED, virt.NOSTATE)


class Power:
    """Changes the power state of servers on this host."""

    def __init__(self, tools: Toolbox, layout: Layout, specs: SpecFiles, bench: Workbench, spawner: Spawner, *,
                 stop_timeout_s: int, reboot_timeout_s: int) -> None:
        self._tools = tools
        self._layout = layout
        self._specs = specs
        self._bench = bench
        self._spawner = spawner
        self._stop_timeout_s = stop_timeout_s
        self._reboot_timeout_s = reboot_timeout_s

    def start(self, server: ServerSpec, context: RequestContext | None) -> str:
        """Make the server run; one that runs or is paused is left so. Returns the power state."""
        with self._bench.work_on(server.id, context) as work:
            self._require_files(server.id)
            return self._spawner.make(server, work)

    def stop(self, server: ServerSpec, timeout_s: int | None, context: RequestContext | None) -> str:
        """Press the power button, after `timeout_s` pull the plug (0: at once; None: as image or agent say)."""
        with self._bench.work_on(server.id, context) as work:
            self._specs.refresh(server)
            self.switch_off(server.id, work, timeout_s)
            work.ended_in(virt.SHUTDOWN)
            return virt.SHUTDOWN

    def reboot(self, server: ServerSpec, context: RequestContext, *, hard: bool, timeout_s: int | None) -> str:
        """Switch off (`hard`: pull the plug; else ask first, for `timeout_s`) and start from the spec."""
        patience_s = 0 if hard else (self._reboot_timeout_s if timeout_s is None else timeout_s)
        with self._bench.work_on(server.id, context) as work:
            self._require_files(server.id)
            self.switch_off(server.id, work, patience_s)
            return self._spawner.make(server, work)

    def pause(self, server: ServerSpec, context: RequestContext) -> str:
        """Freeze the guest in memory."""
        return self._change(server, context, self._tools.driver.pause, virt.PAUSED)

    def unpause(self, server: ServerSpec, context: RequestContext) -> str:
        """Let a frozen guest go on."""
        return self._change(server, context, self._tools.driver.unpause, virt.RUNNING)

    def suspend(self, server: ServerSpec, context: RequestContext) -> str:
        """Save the guest's memory to disk and switch it off."""
        return self._change(server, context, self._tools.driver.suspend, virt.SUSPENDED)

    def resume(self, server: ServerSpec, context: RequestContext) -> str:
        """Bring a saved guest back; its ports are made again first, in case the host was restarted."""
        with self._bench.work_on(server.id, context) as work:
            self._specs.refresh(server)
            server = self._specs.require(server.id)
            for port in server.ports:
                self._tools.network.plug(server, port)
            for volume in server.volumes:
                self._tools.connections.resolve(volume)  # names the one that cannot be reached
            with self._bench.starting(server.id):
                self._tools.driver.resume(server.id)
            for port in server.ports:
                self._tools.network.activate(port)
            self._spawner.catch_up(server)
            work.ended_in(virt.RUNNING)
            return virt.RUNNING

    def _patience_s(self, server_id: str) -> int:
        server = self._specs.load(server_id)
        wanted_s = hardware.shutdown_timeout_s(server) if server is not None else None
        return self._stop_timeout_s if wanted_s is None else wanted_s

    def _change(self, server: ServerSpec, context: RequestContext, change: Callable[[str], None], state: str) -> str:
        with self._bench.work_on(server.id, context) as work:
            self._specs.refresh(server)
            if self._bench.switched_off(server.id):
                self._spawner.make(self._specs.require(server.id), work)
            change(server.id)
            work.ended_in(state)
            return state

    def switch_off(self, server_id: str, work: Work, timeout_s: float | None = None) -> None:
        """Press the power button, after `timeout_s` pull the plug; the caller works on the server."""
        patience_s = self._patience_s(server_id) if timeout_s is None else timeout_s
        driver = self._tools.driver
        state = driver.get_power_state(server_id)
        if state == virt.RUNNING and patience_s > 0 and self._obeys_button(server_id, patience_s, work):
            return
        if state not in (virt.SHUTDOWN, virt.NOSTATE):
            driver.power_off(server_id)

    def _obeys_button(self, server_id: str, patience_s: float, work: Work) -> bool:
        driver = self._tools.driver
        deadline = time.monotonic() + patience_s
        pause_s, longest_s = POLL_S
        press_at = 0.0
        while True:
            work.check()
            if time.monotonic() >= press_at:
                driver.shutdown(server_id)
                press_at = time.monotonic() + PRESS_AGAIN_S
            if driver.get_power_state(server_id) in OFF:
                return True
            left = deadline - time.monotonic()
            if left <= 0:
                LOG.warning("Server %s ignored the power button for %s s", server_id, patience_s)
                return False
            time.sleep(min(pause_s, left))
            pause_s = min(pause_s * 2, longest_s)

    def _require_files(self, server_id: str) -> None:
        # A missing directory means storage that is not mounted, or another host: starting on an empty disk would
        # look to the user as if all data were gone.
        if not self._layout.server(server_id).is_dir():
            raise errors.AgentError(reason="The files of the server are not on its host.")
