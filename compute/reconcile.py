"""Makes the host agree with the cloud: at start, every few minutes, and when events may have been lost.

First, without asking anyone, everything in the kept specs is restored (networks, DHCP, filters). Then the agent reports
what is here (guests, and directories of guests that are not defined) and the conductors answer for each server:
`keep`, `destroy` (it is deleted, or runs elsewhere), `start`, `leave` while an operation works on it, or `wait` while
it is evacuated: what was fenced stays off then. The answer
describes a past moment: a server that was changed since is left for the next turn.
"""

from __future__ import annotations

import logging
from typing import Any, Protocol

from compute import console, diskheader
from compute.agreed import Agreed, essence
from compute.groups import Groups, Members
from compute.interfaces import Interfaces
from compute.layout import Layout
from compute.power import Power
from compute.released import ReleasedVolumes
from compute.self_fence import SelfFence
from compute.spawn import Spawner
from compute.specfile import UNKNOWN, SpecFiles, merged
from compute.toolbox import Toolbox
from compute.virt import driver as virt
from compute.work import Workbench
from hostler import errors
from hostler.context import RequestContext
from hostler.resources.server.specs import ServerSpec

LOG = logging.getLogger(__name__)


class Judge(Protocol):
    """The conductors, as far as reconciliation goes."""

    def reconcile(self, context: RequestContext, host: str, present: list[dict[str, Any]],
                  known_groups: dict[str, int], asides: list[str] | None = None) -> dict[str, Any]:
        """Say what to do about each server present."""


class Reconciler:
    """Compares the host with the records and repairs differences."""

    def __init__(self, host: str, tools: Toolbox, layout: Layout, specs: SpecFiles, bench: Workbench,
                 spawner: Spawner, power: Power, interfaces: Interfaces, members: Members, judge: Judge, *,
                 console_max_bytes: int, fence: SelfFence,
                 released: ReleasedVolumes | None = None) -> None:
        self._host = host
        self._tools = tools
        self._layout = layout
        self._specs = specs
        self._bench = bench
        self._spawner = spawner
        self._power = power
        self._interfaces = interfaces
        self._members = members
        self._judge = judge
        self._console_max_bytes = console_max_bytes
        self._released = released
        self._fence = fence
        self._agreed = Agreed()

    def restore(self) -> None:
        """Bring back the host side of every server whose spec is kept; needs no conductor. Called before serving."""
        servers = list(self._specs.all())
        self._tools.network.restore(servers)
        LOG.info("Restored the networks of %d servers", len(servers))

    def run(self) -> None:
        """One turn; raises Silent when no conductor answers, otherwise logs what could not be repaired."""
        mark = self._bench.locks.mark()
        present = self._look(mark)
        answer = self._judge.reconcile(RequestContext.system(), self._host, present, self._members.known(),
                                       self._specs.aside_ids())
        states = {entry["server_id"]: entry["power_state"] for entry in present}
        self._take_members(answer.get("groups", {}))
        for verdict in answer["servers"]:
            server_id = verdict["server_id"]
            try:
                self._carry_out(verdict, states.get(server_id, virt.NOSTATE), mark)
            except errors.HostlerError as error:
                LOG.error("Server %s cannot be brought to '%s': %s", server_id, verdict["action"], error.details)
        self._tools.network.confirm()
        for server_id in answer.get("discard", ()):
            if not self._bench.locks.changed_since(server_id, mark):
                with self._bench.work_on(server_id, None):
                    self._specs.discard_aside(server_id)
        self._bench.locks.forget_before(mark)
        self._agreed.keep_only(states)
        if self._released is not None:
            self._released.look(states)
        self._tidy()

    def _take_members(self, groups: Groups) -> None:
        try:
            self._members.take(groups)
        except errors.HostlerError as error:
            LOG.error("Members of security groups cannot be brought up to date: %s", error.details)

    def _look(self, mark: int) -> list[dict[str, Any]]:
        # Number and revisions first: an event or a change that comes now makes the look older than itself. What is
        # being changed is in between, and tells nothing.
        number = self._bench.next_number()
        kept = {server.id: (server.revision, self._agreed.fingerprint_of(server)) for server in self._specs.all()}
        states = self._tools.driver.list_servers()
        for server_id in self._specs.ids():
            states.setdefault(server_id, virt.NOSTATE)
        present = []
        for server_id, state in sorted(states.items()):
            if state not in (virt.RUNNING, virt.PAUSED) and self._fence.switched_off(server_id):
                state = virt.NOSTATE  # the fence switched it off: nothing that the records are to follow
            revision, fingerprint = kept.get(server_id, (UNKNOWN, None))
            changing = self._bench.locks.changed_since(server_id, mark)
            present.append({"server_id": server_id, "power_state": state, "number": number,
                            "revision": UNKNOWN if changing else revision, "fingerprint": fingerprint})
        return present

    def _carry_out(self, verdict: dict[str, Any], state: str, mark: int) -> None:
        server_id, action = verdict["server_id"], verdict["action"]
        if action == "wait":
            return
        if verdict.get("held"):
            self._fence.admit(server_id)
        elif action != "destroy":
            self._fence.clear(server_id)
        if action == "leave" or self._bench.locks.changed_since(server_id, mark):
            return
        server = ServerSpec.from_wire(verdict["server"]) if verdict.get("server") else self._specs.load(server_id)
        if action == "destroy":
            LOG.warning("Server %s does not belong on this host; removing it", server_id)
            self._spawner.destroy(server_id, server.ports if server is not None else (), None)
            self._fence.clear(server_id)
        elif server is None:
            LOG.error("Server %s: nothing is known to '%s' it from", server_id, action)
        elif action == "start":
            LOG.warning("Server %s should run; starting it", server_id)
            self._power.start(server, None)
        else:
            self._keep(server, state, verdict.get("fingerprint"))

    def _keep(self, server: ServerSpec, state: str, fingerprint: str | None) -> None:
        kept = self._specs.load(server.id)
        if essence(merged(kept, server)) != essence(kept):
            self._replug(server, state)
        kept = self._specs.load(server.id)
        if kept is not None and fingerprint is not None:
            self._agreed.note(kept, fingerprint)

    def _replug(self, server: ServerSpec, state: str) -> None:
        """Take over a spec that changed while the agent was away."""
        with self._bench.work_on(server.id, None) as work:
            before = {port.id: port for port in self._specs.ports_of(server.id)}
            server = self._specs.save(server)
            for port in server.ports:
                if port.id not in before:
                    self._interfaces.plug(server, port, work)
                    continue
                self._tools.network.plug(server, port)
                if state in (virt.RUNNING, virt.PAUSED):
                    self._tools.network.activate(port)
            for port_id in before.keys() - {port.id for port in server.ports}:
                self._interfaces.release(server.id, before[port_id])
            self._tools.network.update_server(server)
            self._spawner.catch_up(server)
            self._unplug_strangers(server)
        LOG.info("Server %s was brought up to date", server.id)

    def _unplug_strangers(self, server: ServerSpec) -> None:
        """Ask for volumes back that the server should not have any more (a detach that this host slept through).

        Nothing is plugged here: a volume that the guest let go of is handled by `compute.released`.
        """
        wanted = {volume.volume_id for volume in server.volumes}
        for volume_id in self._tools.driver.list_volumes().get(server.id, ()):
            if volume_id not in wanted:
                gone = self._tools.driver.detach_volume(server.id, volume_id)
                LOG.warning("Server %s had volume %s, which is not its own any more: %s", server.id, volume_id,
                            "taken out" if gone else "its guest was asked to let go")

    def _tidy(self) -> None:
        """Cut console logs and trim the image cache."""
        used: set[str] = set()
        for server in self._specs.all():
            console.cut(self._layout.console_log(server.id), self._console_max_bytes)
            used.update(image.sha256 for image in server.images)
        used.update(image.sha256 for server in self._specs.asides() for image in server.images)
        # A spec names no image that the store does not have any more, but its disk builds on it all the same.
        used.update(filter(None, map(diskheader.base_of, self._layout.all_disks())))
        self._tools.images.trim(used)
