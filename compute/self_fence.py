"""The agent's side of the fence: until when this host may run guests with shared disks, and which may start.

Two things tell a host that somebody may have taken its guests' disks over. Its watchdog (`compute.watchdog`) killed
them, because no conductor was heard for `self_fence_after` seconds; or a conductor closed the fence, so that the answer
to the next report carries a higher generation (`conductor.fencing`). In both cases those guests are *suspects*: off,
their events are not reported, and nothing starts them, no matter what call arrives late, until reconciliation has said
whether they are still this host's. One that an operation works on at that moment is *admitted*: it may start, but that
it is off is the fence's doing still, and no state that anybody asked for.

A guest is guarded while its kept spec names a volume, or while the directory of servers is shared with other hosts.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from compute import watchdog
from compute.layout import Layout
from compute.specfile import SpecFiles
from hostler import errors
from hostler.agent.files import make_directory, write_atomically
from hostler.resources.server.specs import ServerSpec

LOG = logging.getLogger(__name__)
_GATE_PATIENCE_S = 5.0
_ENDS = frozenset({"stopped", "crashed", "removed", "paused"})


class PowerSwitch(Protocol):
    """The hypervisor, as far as fencing goes."""

    def cut_power(self, server_id: str) -> None:
        """Pull the plug of a guest that runs; fine when it is off or unknown.

        A suspended guest writes to no disk, and its memory is lost for good once what it saved is dropped.
        """


class SelfFence:
    """One host's fence. `after_s` 0: no watchdog, and the host promises nothing. Safe for use by many threads."""

    def __init__(self, layout: Layout, specs: SpecFiles, switch: PowerSwitch, *, after_s: int,
                 device: str | None = None) -> None:
        self._root = layout.root
        self._layout = layout
        self._specs = specs
        self._switch = switch
        self._after_s = after_s
        self._device = device
        self._lock = threading.RLock()
        self._heard = False
        self._lease: watchdog.Lease | None = None
        self._known = _read(self._file)
        self._suspects: set[str] = set(self._known.get("suspects", ()))
        self._admitted: set[str] = set(self._known.get("admitted", ()))
        specs.on_change = self._guard

    @property
    def _file(self) -> Path:
        return self._root / "fence.json"

    @property
    def generation(self) -> int:
        """The generation that was heard last."""
        return int(self._known.get("generation", 0))

    def start(self) -> None:
        """Guard what is here, and see that a watchdog runs. Called before anything is served."""
        make_directory(self._root / watchdog.GUARDED, 0o700)
        shared = self._shared_servers()
        for name in {path.name for path in (self._root / watchdog.GUARDED).iterdir()} - shared:
            self._unguard(name)
        for server_id in shared:
            (self._root / watchdog.GUARDED / server_id).touch()
        if not self._after_s and not watchdog.is_alive(self._root):
            return
        self._lease = watchdog.Lease(self._root)
        self._note_fences()
        if not watchdog.is_alive(self._root):
            # Nothing was promised for what ran without a watchdog; from the first answer on it is.
            self._lease.until = watchdog.clock() + self._after_s
        self._see_to_watchdog()

    def promised_s(self) -> int:
        """Return what a report may promise: after how many seconds without an answer the watchdog kills; 0: never."""
        return self._after_s if self._after_s and self._see_to_watchdog() else 0

    def heard(self, sent_at: float, answer: dict[str, Any]) -> bool:
        """Take a conductor's answer to the report of `sent_at` (`watchdog.clock`); returns whether guests are fenced.

        Raises what the hypervisor does when it cannot switch a suspect off: the host's time is not prolonged then.
        """
        with self._lock:
            self._note_fences()
            fenced = bool(self._suspects)
            generation = answer.get("fence_generation")
            if not answer.get("accepted") or generation is None:
                return fenced  # a conductor of an earlier release, or one that did not take the report
            if generation != self._known.get("generation", generation):
                fenced = True
                self._suspect(self._shared_servers())
                self._stop_suspects()
                LOG.warning("This host was fenced; %d servers wait for word whether they are still its own",
                            len(self._suspects))
            if generation != self._known.get("generation"):
                self._keep(generation=generation)
            if self._lease is not None:
                # Without a promise in the report nobody counts on the watchdog any more.
                self._lease.until = sent_at + self._after_s if self._after_s else 0.0
            self._heard = True
        return fenced

    @contextlib.contextmanager
    def starting(self, server_id: str) -> Iterator[None]:
        """Hold the gate while a guest is started; raises Silent while it may not be, so that the call is repeated."""
        with self._gate(fcntl.LOCK_SH):
            if self.is_suspect(server_id):
                raise errors.Silent(part=f"The word on server {server_id}, which was fenced,")
            if self._after_s and self._lease is not None and (
                    not self._heard or watchdog.clock() >= self._lease.until):
                raise errors.Silent(part="The control plane")
            yield

    def is_suspect(self, server_id: str) -> bool:
        """Return whether a guest is off for the fence's sake and waits for word."""
        self._note_fences()
        return server_id in self._suspects

    def switched_off(self, server_id: str) -> bool:
        """Return whether a guest that is off may be so for the fence's sake alone, as far as is known here."""
        return self.is_suspect(server_id) or server_id in self._admitted

    def admit(self, server_id: str) -> None:
        """Let a guest be started by the operation that works on it."""
        with self._lock:
            if server_id in self._suspects:
                self._suspects.discard(server_id)
                self._admitted.add(server_id)
                self._keep()

    def clear(self, server_id: str) -> None:
        """Let a guest be started again, or be forgotten: reconciliation has spoken."""
        with self._lock:
            if self.switched_off(server_id):
                self._suspects.discard(server_id)
                self._admitted.discard(server_id)
                self._keep()

    def swallows(self, server_id: str, event: str) -> bool:
        """Return whether an event is the fence's own doing, of which the records are to know nothing."""
        return event in _ENDS and self.is_suspect(server_id)

    def _shared_servers(self) -> set[str]:
        return {server.id for server in self._specs.all() if self._is_shared(server)}

    def _is_shared(self, server: ServerSpec) -> bool:
        return bool(server.volumes) or self._layout.servers_are_shared()

    def _guard(self, server_id: str, server: ServerSpec | None) -> None:
        """Follow a spec that is about to be kept, or that is gone: a disk is guarded before it is plugged."""
        if server is not None and self._is_shared(server):
            make_directory(self._root / watchdog.GUARDED, 0o700)
            (self._root / watchdog.GUARDED / server_id).touch()
        else:
            self._unguard(server_id)

    def _unguard(self, server_id: str) -> None:
        (self._root / watchdog.GUARDED / server_id).unlink(missing_ok=True)

    def _note_fences(self) -> None:
        if self._lease is None or self._lease.fences == self._known.get("fences", 0):
            return
        with self._lock:
            self._suspect({path.name for path in (self._root / watchdog.GUARDED).iterdir()})
            self._keep(fences=self._lease.fences)
        LOG.warning("No conductor was heard for %d s: the watchdog killed the guests with shared disks", self._after_s)

    def _suspect(self, server_ids: set[str]) -> None:
        self._suspects |= server_ids
        self._keep()

    def _keep(self, **values: int) -> None:
        self._known = {**self._known, **values, "suspects": sorted(self._suspects), "admitted": sorted(self._admitted)}
        write_atomically(self._file, json.dumps(self._known).encode())

    def _stop_suspects(self) -> None:
        try:
            with self._gate(fcntl.LOCK_EX):  # starts let in before have ended now, and none is let in any more
                pass
        except errors.Silent:
            # Past the host's time its watchdog holds the gate, or kills this agent for a start that hangs in there; it
            # opens the gate when the time is prolonged, which comes after this.
            if self._lease is None or watchdog.clock() < self._lease.until:
                raise
        for server_id in sorted(self._suspects):
            self._switch.cut_power(server_id)

    @contextlib.contextmanager
    def _gate(self, how: int) -> Iterator[None]:
        """Hold the gate, which starts share and a fence has alone; raises Silent when it stays shut."""
        end = time.monotonic() + _GATE_PATIENCE_S
        with (self._root / watchdog.GATE).open("a") as gate:
            while True:
                try:
                    fcntl.flock(gate, how | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > end:
                        raise errors.Silent(part="The control plane") from None
                    time.sleep(0.05)
            yield

    def _see_to_watchdog(self) -> bool:
        """Return whether a watchdog runs, after starting one when there is none."""
        if self._lease is None:
            return False
        self._lease.agent = os.getpid()
        if not watchdog.is_alive(self._root):
            # A session of its own: it outlives the agent, on purpose.
            subprocess.Popen([sys.executable, "-I", watchdog.__file__, str(self._root),
                              *([self._device] if self._device else [])], start_new_session=True,
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            end = time.monotonic() + _GATE_PATIENCE_S
            while not watchdog.is_alive(self._root):
                if time.monotonic() > end:
                    LOG.error("The watchdog does not start")
                    return False
                time.sleep(0.05)
        return True


def _read(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except ValueError:
        LOG.error("%s cannot be read; the next generation heard is taken as new", path)
        return {"generation": -1}
    return found
