"""The watchdog kills guarded guests in time, whatever the agent does, and nothing else."""

from __future__ import annotations

import fcntl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from compute import watchdog
from compute.watchdog import GATE, GUARDED, Lease, Watchdog
from hostler import ids
from tests.harness.ports import wait_for


class Guests:
    """Processes that look like guests of libvirt's."""

    def __init__(self) -> None:
        self._all: list[subprocess.Popen[bytes]] = []

    def start(self, server_id: str) -> subprocess.Popen[bytes]:
        """Return the process of one, once it is seen: the kernel shows no command line in the midst of an exec."""
        made = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()", "-uuid", server_id])
        self._all.append(made)
        wait_for(lambda: made.pid in watchdog.processes_of(frozenset({server_id})), "the guest's command line", 10)
        return made

    def end(self) -> None:
        """End all."""
        for each in self._all:
            each.kill()
            each.wait()


@pytest.fixture
def guests() -> Iterator[Guests]:
    made = Guests()
    yield made
    made.end()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / GUARDED).mkdir()
    return tmp_path


def _guard(root: Path) -> str:
    server_id = ids.new_id()
    (root / GUARDED / server_id).touch()
    return server_id


def test_only_guarded_guests_are_killed_and_only_when_the_time_is_over(root: Path, guests: Guests) -> None:
    guarded, local = guests.start(_guard(root)), guests.start(ids.new_id())
    lease, dog = Lease(root), Watchdog(root)
    lease.until = watchdog.clock() + 60
    dog._read_guarded()
    assert dog.look() is False
    assert guarded.poll() is None
    lease.until = watchdog.clock() - 0.1
    assert dog.look() is True
    assert guarded.wait(5) == -9
    assert local.poll() is None
    assert lease.fences == 1
    dog.look()
    assert lease.fences == 1, "one time that ends is one fence"


def test_a_guest_that_is_started_late_is_killed_too(root: Path, guests: Guests) -> None:
    server_id = _guard(root)
    lease, dog = Lease(root), Watchdog(root)
    dog._read_guarded()
    lease.until = watchdog.clock() - 0.1
    dog.look()
    late = guests.start(server_id)
    wait_for(lambda: dog.look() and late.poll() is not None, "its end", 5)


def test_the_gate_is_shut_until_the_time_is_prolonged(root: Path) -> None:
    lease, dog = Lease(root), Watchdog(root)
    lease.until = watchdog.clock() - 0.1
    dog.look()
    with (root / GATE).open("a") as gate:
        with pytest.raises(BlockingIOError):
            fcntl.flock(gate, fcntl.LOCK_SH | fcntl.LOCK_NB)
        lease.until = watchdog.clock() + 60
        dog.look()
        fcntl.flock(gate, fcntl.LOCK_SH | fcntl.LOCK_NB)


def test_an_agent_that_hangs_while_it_starts_a_guest_is_killed(root: Path) -> None:
    hanging = subprocess.Popen([
        sys.executable, "-c", "import fcntl, signal, sys\n"
        "gate = open(sys.argv[1], 'a'); fcntl.flock(gate, fcntl.LOCK_SH); print('in', flush=True); signal.pause()",
        str(root / GATE)], stdout=subprocess.PIPE)
    assert hanging.stdout is not None and hanging.stdout.readline() == b"in\n"
    lease, dog = Lease(root), Watchdog(root, patience_s=0.2)
    lease.agent = hanging.pid
    lease.until = watchdog.clock() - 0.1
    dog.look()
    assert hanging.wait(5) == -9


def test_a_process_of_its_own_outlives_its_starter_and_ends_when_stood_down(root: Path, guests: Guests) -> None:
    guarded = guests.start(_guard(root))
    lease = Lease(root)
    lease.until = watchdog.clock() + 1.5
    command = [sys.executable, "-I", watchdog.__file__, str(root)]
    dog = subprocess.Popen(command)
    wait_for(lambda: watchdog.is_alive(root), "the watchdog", 10)
    started = time.monotonic()
    assert guarded.wait(10) == -9
    assert time.monotonic() - started < 8
    lease.until = 0.0
    assert dog.wait(10) == 0
    assert not watchdog.is_alive(root)


def test_the_device_is_petted_while_all_is_well_and_not_while_a_guest_cannot_be_killed(
        root: Path, guests: Guests, monkeypatch: pytest.MonkeyPatch) -> None:
    device = root / "device"
    device.touch()
    guests.start(_guard(root))
    lease, dog = Lease(root), Watchdog(root, device)
    dog._read_guarded()
    lease.until = watchdog.clock() + 60
    dog.look()
    assert device.read_bytes() == b"1"
    monkeypatch.setattr(watchdog, "_send_kill", lambda _pid: None)
    lease.until = watchdog.clock() - 0.1
    dog.look()
    dog.look()
    assert device.read_bytes() == b"1"
