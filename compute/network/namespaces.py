"""Network namespaces that outlive the agent: a namespace is kept alive by a file that it is bind-mounted on.

Entering a namespace concerns one thread, so each visit is a short-lived thread of its own; no other thread ever
changes its namespace. Needs CAP_SYS_ADMIN.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from compute.network import faults

Result = TypeVar("Result")

_CLONE_NEWNET = 0x40000000  # sched.h
_MS_BIND = 4096  # sys/mount.h
_MNT_DETACH = 2  # sys/mount.h
_NS_GET_NSTYPE = 0xB703  # linux/nsfs.h

_LIBC = ctypes.CDLL(None, use_errno=True)


def exists(path: Path) -> bool:
    """Return whether `path` keeps a network namespace."""
    try:
        with path.open("rb") as handle:
            return fcntl.ioctl(handle, _NS_GET_NSTYPE) == _CLONE_NEWNET
    except OSError:
        return False


def identity(path: Path) -> tuple[int, int]:
    """Return what tells the namespace at `path` from every other one alive."""
    status = path.stat()
    return status.st_dev, status.st_ino


def create(path: Path) -> None:
    """Make a fresh namespace kept by `path`, unless there is one already."""
    if exists(path):
        return
    path.touch(mode=0o600)

    def _make() -> None:
        _check(_LIBC.unshare(_CLONE_NEWNET), "unshare")
        _check(_LIBC.mount(b"/proc/thread-self/ns/net", os.fsencode(path), b"none", _MS_BIND, None), "mount")

    _in_thread(_make)


def remove(path: Path) -> None:
    """Let the namespace at `path` go (it ends with the last process and socket in it); fine when there is none."""
    while exists(path):
        _check(_LIBC.umount2(os.fsencode(path), _MNT_DETACH), "umount")
    path.unlink(missing_ok=True)


def run_inside(path: Path, work: Callable[[], Result]) -> Result:
    """Return `work()` as done by a thread in the namespace at `path`; what it raises is raised here.

    Sockets opened and processes started by `work` belong to the namespace for their whole life.
    """
    def _visit() -> Result:
        with path.open("rb") as handle:
            _check(_LIBC.setns(handle.fileno(), _CLONE_NEWNET), "setns")
        return work()

    return _in_thread(_visit)


def try_in_fresh(work: Callable[[], Result]) -> Result:
    """Return `work()` as done by a thread in a network namespace of its own, which ends with it."""
    def _visit() -> Result:
        _check(_LIBC.unshare(_CLONE_NEWNET), "unshare")
        return work()

    return _in_thread(_visit)


def _in_thread(work: Callable[[], Result]) -> Result:
    results: list[Result] = []
    failures: list[BaseException] = []

    def _target() -> None:
        try:
            results.append(work())
        except BaseException as failure:  # noqa: BLE001 - carried over to the calling thread
            failures.append(failure)

    thread = threading.Thread(target=_target, name="namespace-visit", daemon=True)
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
    return results[0]


def _check(outcome: int, call: str) -> None:
    if outcome != 0:
        number = ctypes.get_errno()
        raise faults.fault(f"network namespace: {call} failed: {os.strerror(number)}")
