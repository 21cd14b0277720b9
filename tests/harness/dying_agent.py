"""An agent's network that dies before one of its outside actions: the kernel, programs, signals, files."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyroute2 import IPRoute

from compute import network as plumbing_package
from compute.network import links, namespaces, nft
from compute.network.plumbing import NetworkPlumbing
from tests.harness.network_lab import Cloud


def crash_at(cloud: Cloud, action: Callable[[NetworkPlumbing], object], step: int) -> bool:
    """Run `action` on a new agent in a child process that dies before its outside action number `step`.

    Return whether it died (rather than finished with fewer).
    """
    child = os.fork()
    if child == 0:
        count = itertools.count()

        def _reach() -> None:
            if next(count) == step:
                os._exit(9)

        try:
            # Names that the plumbing's modules look up late: the kernel, programs, signals, files.
            links.IPRoute = lambda: DyingNetlink(_reach)
            for owner, name in ((nft, "apply"), (subprocess, "run"), (os, "kill"), (os, "open"), (shutil, "rmtree"),
                                (namespaces, "create"), (namespaces, "remove"), (Path, "rename"), (Path, "unlink"),
                                (Path, "write_text")):
                setattr(owner, name, preceded(_reach, getattr(owner, name)))
            action(plumbing_package.build(cloud.conf))
        except BaseException as failure:  # noqa: BLE001 - a forked child must not return into pytest
            print(repr(failure), file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, 9)
    return code == 9


class DyingNetlink:
    """A netlink socket that calls `reach` before every request."""

    def __init__(self, reach: Callable[[], None]) -> None:
        self.reach, self.real = reach, IPRoute()

    def __enter__(self) -> DyingNetlink:
        return self

    def __exit__(self, *failure: object) -> None:
        self.real.close()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.real, name)
        return preceded(self.reach, method) if name in ("link", "addr", "route", "neigh", "fdb") else method


def preceded(first: Callable[[], None], work: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(work)
    def _both(*args: Any, **kwargs: Any) -> Any:
        first()
        return work(*args, **kwargs)
    return _both


def dnsmasq_processes(directory: Path) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            text = path.read_text()
            if text.startswith("dnsmasq") and str(directory) in text:
                found.append(int(path.parent.name))
    return found
