"""Live migration between two agents: what the source tells, what the target prepares, the sending, the arrival.

    source                      target
    describe, offer_base
                                prepare   files, ports with their rules, DHCP, metadata, disks as large as the source's
    send, watch, steer
    sum_disks                   compare   where the target is configured to; the guest is paused until then
                                arrive    the guest is here: what needs its tap devices

The sending takes long, so it runs in a thread that holds the server, and the conductor watches it. A hypervisor sends
by itself: an agent that died in the middle finds its guest still on its way, gone, or here as it was, and says so.
"""

from __future__ import annotations

import base64
import dataclasses
import logging
import threading
import time
import zlib
from collections.abc import Callable
from concurrent import futures
from pathlib import Path
from typing import Any

from compute import bases, comparing
from compute.diskfile import boots_from_volume
from compute.layout import Layout
from compute.spawn import Spawner
from compute.specfile import SpecFiles
from compute.toolbox import Toolbox
from compute.transfer import keep_offer
from compute.virt import driver as virt
from compute.virt import migration as terms
from compute.work import Workbench
from hostler import errors, ids
from hostler.context import RequestContext
from hostler.resources.server.specs import ServerSpec

LOG = logging.getLogger(__name__)
IDLE = "idle"  # the guest is here, and nobody sends it
RUNS = (virt.RUNNING, virt.PAUSED)
_CONFIG_DRIVE = "disk.config"
_BASE_FORMATS = ("qcow2", "raw")
_POLL_S = 0.25
# So long the call to send waits for the end: an idle guest has left by then, and who looks after it earlier takes
# processor time from it. A wish to abort it waits as long.
_BEGIN_S = 2.0


class _Job:
    """One sending: which operation's, and how it ended."""

    def __init__(self, operation_id: str | None) -> None:
        self.operation_id = operation_id
        self.done = threading.Event()
        self.state = terms.RUNNING
        self.reason = ""

    def end(self, state: str, reason: str) -> None:
        """Note how it ended."""
        self.state, self.reason = state, reason
        self.done.set()


class Migrations:
    """The live migrations from and to this host; called by the manager."""

    def __init__(self, tools: Toolbox, layout: Layout, specs: SpecFiles, bench: Workbench, spawner: Spawner,
                 manner: terms.Manner, *, verify: bool = False) -> None:
        self._tools = tools
        self._layout = layout
        self._specs = specs
        self._bench = bench
        self._spawner = spawner
        self._manner = manner
        self._verify = verify
        self._jobs: dict[str, _Job] = {}
        self._lock = threading.Lock()

    def describe(self, server: ServerSpec, context: RequestContext) -> dict[str, Any]:
        """Return what the target must know; raises AgentError for a guest that does not run."""
        with self._bench.work_on(server.id, context):
            self._tools.checkpoint("migrate.describe", server.id)
            self._specs.refresh(server)
            origin = self._tools.driver.describe_migration(server.id)
            # Found at the target, it says that both hosts have one directory.
            mark = self._layout.disk(server.id, "origin")
            mark.write_text(ids.new_id())
            mark.chmod(0o600)
            drive = self._layout.disk(server.id, _CONFIG_DRIVE)
            return {**origin.to_wire(), "mark": mark.read_text(),
                    "power_state": self._tools.driver.get_power_state(server.id),
                    "config_drive": _packed(drive.read_bytes()) if server.config_drive and drive.exists() else None}

    def offer_base(self, server_id: str, to_host: str, context: RequestContext) -> bases.Offer | None:
        """Have `to_host` fetch what the guest's root disk builds on; None where that is nothing, or it cannot."""
        with self._bench.work_on(server_id, context):
            self._tools.checkpoint("migrate.offer", server_id)
            base = bases.base_of(self._layout, self._layout.disk(server_id))
            if base is None or not self._tools.connections.connector().sends_disks:
                return None
            keep_offer(self._layout.server(server_id), to_host, context, (), base)
            return {**self._tools.transfer.place(), "files": [], "base": base}

    def prepare(self, server: ServerSpec, origin: dict[str, Any], copying: bool | None,
                context: RequestContext) -> dict[str, Any]:
        """Make room for the guest and return where it lands; `copying` says whether disks are to be copied (None: where
        the hosts share none). Raises AgentError."""
        tools = self._tools
        with self._bench.work_on(server.id, context) as work:
            tools.checkpoint("migrate.spec", server.id)
            known = terms.Origin.from_wire(origin)
            shared = self._shares(server.id, origin["mark"])
            _check_copying(copying, shared, known)
            if shared:
                # What removes a target that was prepared in vain would remove the disks of the guest that runs.
                raise errors.AgentError(reason="The hosts share the server's directory, which live migration does not "
                                               "support yet.")
            offered = _offer_of(server, known, origin) is not None
            _check_disc(server, known, on_base=offered or _is_of_image(server, known))
            server = self._specs.save(server)
            tools.checkpoint("migrate.ports", server.id)
            with futures.ThreadPoolExecutor(1, "migrate-disks") as pool:  # neither needs the other
                making = pool.submit(self._disks, server, origin, work.check)
                bridges = {port.id: tools.network.plug(server, port) for port in server.ports}
                disks, on_base = making.result()
            work.check()
            tools.checkpoint("migrate.landing", server.id)
            with self._bench.starting(server.id):  # not on a host that was fenced
                landing = tools.driver.prepare_migration(
                    self._spawner.describe(server, bridges, disks), known, copied=tuple(sorted(known.disks)),
                    on_base=on_base)
            unverified = self._layout.unverified_mark(server.id)
            unverified.unlink(missing_ok=True)  # of an earlier stay
            if self._verify and landing.copied:
                unverified.write_text(origin["power_state"])
                landing = dataclasses.replace(landing, paused=True)
            tools.checkpoint("migrate.prepared", server.id)
            work.await_guest()
        return landing.to_wire()

    def send(self, server_id: str, landing: dict[str, Any], context: RequestContext) -> dict[str, Any]:
        """Begin to send the guest, unless it is on its way or gone already; returns as `watch`, after a moment."""
        self._bench.admit(context)
        with self._lock:
            job = self._jobs.get(server_id)
            known = job is not None and job.operation_id == context.operation_id
            if not known and self._seen(server_id)["state"] == IDLE:
                self._begin(server_id, terms.Landing.from_wire(landing), context)
        return self.watch(server_id, _BEGIN_S, context)

    def watch(self, server_id: str, wait_s: float, context: RequestContext) -> dict[str, Any]:
        """Return {"state", "reason", "progress", "power_state"} as soon as the sending ends, or after `wait_s`."""
        self._bench.admit(context)
        with self._lock:
            job = self._jobs.get(server_id)
        if job is None or job.operation_id != context.operation_id:
            status = self._watch_stranger(server_id, wait_s)
        else:
            job.done.wait(wait_s)
            progress = None if job.done.is_set() else self._tools.driver.get_migration(server_id)
            status = _status(job.state, job.reason, progress)
        return {**status, "power_state": self._power_state(server_id)}

    def _power_state(self, server_id: str) -> str:
        state = self._tools.driver.get_power_state(server_id)
        # What the fence switched off was not stopped: reconciliation starts it again.
        return state if state in RUNS or not self._bench.switched_off(server_id) else virt.NOSTATE

    def steer(self, server_id: str, how: str, context: RequestContext) -> None:
        """Abort the sending, or force its end (`terms.ABORT`, `terms.FORCE`)."""
        self._bench.admit(context)
        self._tools.checkpoint(f"migrate.{how}", server_id)
        if how == terms.ABORT:
            self._tools.driver.abort_migration(server_id)
        else:
            self._tools.driver.force_migration(server_id)

    def sum_disks(self, server: ServerSpec, context: RequestContext) -> dict[str, str]:
        """Return checksums of the disks of a guest that was sent from here."""
        with self._bench.work_on(server.id, context) as work:
            self._tools.checkpoint("migrate.sum", server.id)
            return self._sum_disks(server, work.check)

    def compare(self, server: ServerSpec, sums: dict[str, str], context: RequestContext) -> None:
        """Raise AgentError unless the disks of a guest that waits for it are the source's."""
        with self._bench.work_on(server.id, context) as work:
            self._tools.checkpoint("migrate.compare", server.id)
            # After an interrupted `arrive` the guest runs.
            if self._layout.unverified_mark(server.id).exists() \
                    and self._tools.driver.get_power_state(server.id) == virt.PAUSED:
                comparing.check_equal(sums, self._sum_disks(server, work.check))

    def arrive(self, server: ServerSpec, context: RequestContext) -> str:
        """Put into force what needs the guest's devices, and return its power state; raises AgentError without it."""
        with self._bench.work_on(server.id, context) as work:
            self._tools.checkpoint("migrate.arrive", server.id)
            with self._bench.starting(server.id):  # this host may have been fenced since it prepared
                server = self._specs.save(server)
                self._let_run(server.id)
            state = self._tools.driver.get_power_state(server.id)
            if state not in RUNS:
                raise errors.AgentError(reason="The guest did not arrive at its target.")
            for port in server.ports:
                self._tools.network.activate(port)
            self._spawner.catch_up(server)
            self._tools.checkpoint("migrate.arrived", server.id)
            work.ended_in(state)
            return state

    def _let_run(self, server_id: str) -> None:
        mark = self._layout.unverified_mark(server_id)
        if not mark.exists():
            return
        state = self._tools.driver.get_power_state(server_id)
        if mark.read_text() == virt.RUNNING and state == virt.PAUSED:
            self._tools.driver.unpause(server_id)
        if state in RUNS:  # else the guest has not arrived, and the next call is to let it run
            mark.unlink()

    def _sum_disks(self, server: ServerSpec, check: Callable[[], None]) -> dict[str, str]:
        base = self._tools.images.fetch(server.image) if server.image is not None else None
        return comparing.sum_disks(self._tools, self._layout, server.id, self._tools.disks.ensure(server, base), check)

    def _shares(self, server_id: str, mark: str) -> bool:
        try:
            return self._layout.disk(server_id, "origin").read_text() == mark
        except FileNotFoundError:
            return False

    def _disks(self, server: ServerSpec, origin: dict[str, Any], check: Callable[[], None]
               ) -> tuple[tuple[virt.Disk, ...], bool]:
        """Make the disks, and return whether the root disk builds on what it does at the source."""
        self._tools.checkpoint("migrate.disks", server.id)
        known = terms.Origin.from_wire(origin)
        base = self._find_base(server, known, origin, check)
        base_format = known.base_format if base is not None and server.image is None else None
        if self._tools.driver.get_power_state(server.id) != virt.NOSTATE:
            return self._tools.disks.ensure(server, base, base_format=base_format), base is not None
        self._tools.disks.remove(server.id)  # of an earlier stay: what is copied is what the guest has now
        if origin["config_drive"] is not None:
            path = self._layout.disk(server.id, _CONFIG_DRIVE)
            path.touch(mode=0o600)
            path.write_bytes(zlib.decompress(base64.b64decode(origin["config_drive"])))
        return self._tools.disks.ensure(server, base, sizes=known.disks, base_format=base_format), base is not None

    def _find_base(self, server: ServerSpec, known: terms.Origin, origin: dict[str, Any], check: Callable[[], None]
                   ) -> Path | None:
        """Return this host's copy of what the root disk builds on at its source; None: all of the disk is copied."""
        if server.image is not None:
            return self._tools.images.fetch(server.image) if _is_of_image(server, known) else None
        offer = _offer_of(server, known, origin)
        if offer is None:
            return None
        self._tools.checkpoint("migrate.base", server.id)
        try:
            return bases.adopt(self._tools, offer, server.id, check)
        except errors.AgentError as error:
            if virt.ROOT_TARGET not in known.disks:  # a disc, which nobody can copy
                raise
            LOG.warning("Server %s comes without what its root disk builds on (%s): all of it is copied", server.id,
                        error)
            return None

    def _begin(self, server_id: str, landing: terms.Landing, context: RequestContext) -> None:
        job = self._jobs[server_id] = _Job(context.operation_id)
        threading.Thread(target=self._run, args=(server_id, landing, job), name=f"send-{server_id}",
                         daemon=True).start()

    def _run(self, server_id: str, landing: terms.Landing, job: _Job) -> None:
        state, reason = terms.FAILED, "The host could not send the guest."
        try:
            # The attempt was admitted; later ones of the same operation watch this job.
            with self._bench.work_on(server_id, None) as work:
                self._tools.checkpoint("migrate.send", server_id)
                self._tools.driver.send_guest(server_id, landing, self._manner)
                self._tools.checkpoint("migrate.sent", server_id)
                work.ended_in(virt.NOSTATE)
                state, reason = terms.MOVED, ""
                job.end(state, reason)
                self._unplug(server_id)
        except errors.MigrationAborted as error:
            state, reason = terms.ABORTED, str(error)
        except errors.HostlerError as error:
            LOG.warning("Server %s could not be sent: %s", server_id, error.details)
            # An earlier sending may just have ended.
            gone = self._seen(server_id)["state"] == terms.MOVED
            state, reason = (terms.MOVED, "") if gone else (terms.FAILED, str(error))
        except Exception:
            LOG.exception("Sending server %s failed", server_id)
        finally:
            job.end(state, reason)

    def _unplug(self, server_id: str) -> None:
        """Remove the ports of a guest that has left, while its target takes it over: it does not come back. Whatever
        this leaves, `destroy` removes."""
        try:
            for port in self._specs.ports_of(server_id):
                self._tools.network.unplug(port)
        except errors.HostlerError as error:
            LOG.warning("The ports of server %s, which has left, are still here: %s", server_id, error.details)

    def _watch_stranger(self, server_id: str, wait_s: float) -> dict[str, Any]:
        """As `watch`, of a sending that an earlier process of this agent began."""
        deadline = time.monotonic() + wait_s
        while True:
            seen = self._seen(server_id)
            if seen["state"] != terms.RUNNING or time.monotonic() >= deadline:
                return seen
            time.sleep(_POLL_S)

    def _seen(self, server_id: str) -> dict[str, Any]:
        progress = self._tools.driver.get_migration(server_id)
        if progress is not None:
            return _status(terms.RUNNING, "", progress)
        state = self._tools.driver.get_power_state(server_id)
        return _status(terms.MOVED if state == virt.NOSTATE else IDLE, "", None)


def _status(state: str, reason: str, progress: terms.Transfer | None) -> dict[str, Any]:
    return {"state": state, "reason": reason, "progress": dataclasses.asdict(progress) if progress else None}


def _check_copying(copying: bool | None, shared: bool, origin: terms.Origin) -> None:
    if copying is True and shared:
        raise errors.AgentError(reason="Block migration can not be used with shared storage.")
    if copying is False and not shared and origin.disks:
        raise errors.AgentError(reason="The server's disks are not on storage that both hosts share.")


def _is_of_image(server: ServerSpec, origin: terms.Origin) -> bool:
    return server.image is not None and origin.base == server.image.sha256


def _offer_of(server: ServerSpec, known: terms.Origin, origin: dict[str, Any]) -> bases.Offer | None:
    """Return the offer of what the root disk builds on, where the store has that no more."""
    offer: bases.Offer | None = origin.get("offer")
    if server.image is not None or offer is None or known.base_format not in _BASE_FORMATS:
        return None
    return offer if offer["base"]["sha256"] == known.base else None


def _check_disc(server: ServerSpec, origin: terms.Origin, *, on_base: bool) -> None:
    """Raise AgentError for a root disk that is neither copied, since the guest cannot write it, nor made here again."""
    if not on_base and not boots_from_volume(server) and virt.ROOT_TARGET not in origin.disks:
        raise errors.AgentError(reason="The image of the disc that the server runs from is gone.")


def _packed(content: bytes) -> str:
    return base64.b64encode(zlib.compress(content)).decode()
