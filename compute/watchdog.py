"""The watchdog: a process of its own that kills guests with shared disks when their host was not heard for too long.

    watchdog.py <agent's directory> [<watchdog device>]

The naive way is a thread of the agent. But an agent that hangs, or was killed, fences nobody, and its host may run
guests whose disks others have taken over. So this is a program of a few system calls, which imports nothing of the
agent's, outlives it, and needs neither libvirt nor a disk at the decisive moment:

- the agent writes into shared memory (`lease`) until when its host may run such guests, after each report that a
  conductor answered: the time the report was sent plus `[compute] self_fence_after`, on the clock that goes on while
  the machine sleeps;
- past that, the watchdog takes the gate through which the agent starts guests (a lock), killing the agent when it hangs
  in there, kills every QEMU process of a guarded guest, and goes on looking for them until the time was prolonged;
- a watchdog device, where there is one, resets the machine when this process, or the whole machine, hangs, or when a
  guest cannot be killed.

Which guests are guarded the agent says beforehand, by a file for each in `guarded`; they are read while all is well.
"""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import signal
import struct
import sys
import threading
import time
from pathlib import Path
from typing import IO

LEASE = "lease"
GATE = "gate.lock"
ALIVE = "watchdog.lock"
GUARDED = "guarded"
SIZE = 4096
LOOK_S = 0.5
AGENT_PATIENCE_S = 3.0
_MLOCK_ALL = 3


class Lease:
    """The shared memory: whole words of 8 bytes at fixed places, each with one writer."""

    def __init__(self, directory: Path) -> None:
        with (directory / LEASE).open("a+b") as file:
            file.truncate(SIZE)
            self._memory = mmap.mmap(file.fileno(), SIZE)

    @property
    def until(self) -> float:
        """When the host's time ends, on `clock`; 0 stands the watchdog down. Written by the agent."""
        return float(struct.unpack_from("<d", self._memory, 0)[0])

    @until.setter
    def until(self, value: float) -> None:
        struct.pack_into("<d", self._memory, 0, value)

    @property
    def agent(self) -> int:
        """The agent's process. Written by the agent."""
        return int(struct.unpack_from("<Q", self._memory, 8)[0])

    @agent.setter
    def agent(self, pid: int) -> None:
        struct.pack_into("<Q", self._memory, 8, pid)

    @property
    def fences(self) -> int:
        """How often guests were killed; it grows before they are. Written by the watchdog."""
        return int(struct.unpack_from("<Q", self._memory, 16)[0])

    @fences.setter
    def fences(self, count: int) -> None:
        struct.pack_into("<Q", self._memory, 16, count)


def clock() -> float:
    """Return the seconds since the machine started, asleep or awake."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def is_alive(directory: Path) -> bool:
    """Return whether a watchdog runs for this directory."""
    with (directory / ALIVE).open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


class Watchdog:
    """One host's watchdog."""

    def __init__(self, directory: Path, device: Path | None = None, *, patience_s: float = AGENT_PATIENCE_S) -> None:
        self._directory = directory
        self._patience_s = patience_s
        self._lease = Lease(directory)
        self._gate = (directory / GATE).open("a")
        self._device = os.open(device, os.O_WRONLY) if device is not None else None
        self._guarded: frozenset[str] = frozenset()
        self._expired = False

    def run(self) -> None:
        """Watch until stood down."""
        self._read_guarded()
        threading.Thread(target=self._follow_guarded, daemon=True).start()
        while self._lease.until:
            self.look()
            time.sleep(LOOK_S)
        self._pet(b"V")  # the end is on purpose: the device is to stop, too

    def look(self) -> bool:
        """Look once, and act; returns whether the host's time is over."""
        expired = clock() >= self._lease.until > 0
        if expired and not self._expired:
            self._lease.fences += 1
            self._close_gate()
        elif self._expired and not expired:
            fcntl.flock(self._gate, fcntl.LOCK_UN)
        self._expired = expired
        if not expired or not self._kill():
            self._pet(b"1")
        return expired

    def _close_gate(self) -> None:
        """Keep the agent from starting guests; one that hangs while it starts one is killed."""
        end = time.monotonic() + self._patience_s
        while True:
            try:
                fcntl.flock(self._gate, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                self._kill()
                if time.monotonic() > end:
                    _send_kill(self._lease.agent)
                time.sleep(0.1)

    def _kill(self) -> bool:
        """Kill the guarded guests; returns whether there were any."""
        found = processes_of(self._guarded)
        for pid in found:
            _send_kill(pid)
        return bool(found)

    def _follow_guarded(self) -> None:
        # In a thread of its own: a disk that hangs must not keep this process from what it is for.
        while True:
            time.sleep(LOOK_S)
            self._read_guarded()

    def _read_guarded(self) -> None:
        try:
            self._guarded = frozenset(os.listdir(self._directory / GUARDED))
        except OSError:
            return

    def _pet(self, word: bytes) -> None:
        if self._device is not None:
            os.write(self._device, word)


def processes_of(server_ids: frozenset[str]) -> list[int]:
    """Return the QEMU processes of these guests, by the `-uuid` that libvirt gives them."""
    found = []
    for name in os.listdir("/proc") if server_ids else ():
        if name.isdigit():
            try:
                with open(f"/proc/{name}/cmdline", "rb") as file:
                    words = file.read().decode(errors="replace").split("\0")
            except OSError:
                continue
            if "-uuid" in words and words[words.index("-uuid") + 1] in server_ids:
                found.append(int(name))
    return found


def _send_kill(pid: int) -> None:
    if pid > 1:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return


def _take(alive: IO[str]) -> bool:
    """Become the directory's watchdog; who only asks whether there is one holds the lock for a moment."""
    end = time.monotonic() + 2
    while True:
        try:
            fcntl.flock(alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > end:
                return False
        time.sleep(0.05)


def _be_hard_to_stop() -> None:
    # Swapped out, it would have to be read back from a disk that hangs.
    ctypes.CDLL(None).mlockall(_MLOCK_ALL)
    try:
        Path("/proc/self/oom_score_adj").write_text("-1000")
    except OSError:
        return


def main() -> int:
    """Run; ends at once when another watchdog does already."""
    directory = Path(sys.argv[1])
    with (directory / ALIVE).open("a") as alive:
        if not _take(alive):
            return 0
        _be_hard_to_stop()
        Watchdog(directory, Path(sys.argv[2]) if len(sys.argv) > 2 else None).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
