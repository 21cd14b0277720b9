"""Faults on order: a step of the fake host fails, is slow, or kills the process.

Steps are named `<part>.<verb>` with `:before` or `:after`, e.g. `driver.create:before`, `network.plug:after`; the
agent's own numbered steps are `spawn.<step>`, `destroy.<step>`. Orders come from the test in the same process
(`order`) or from a control file (a JSON list of orders, re-read when it changes), which also reaches an agent in
another process. A crash is `os._exit`, so that nothing is cleaned up.

>>> faults = Faults()
>>> faults.order(Order(step="driver.create:before", action="fail", reason="no room"))
>>> faults.reach("driver.create:before")
Traceback (most recent call last):
    ...
hostler.errors.AgentError: no room
>>> faults.reach("driver.create:before")     # `times` defaults to 1
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import random
import threading
import time
from pathlib import Path

from hostler import errors
from hostler.agent.files import write_atomically

LOG = logging.getLogger(__name__)
CRASH_STATUS = 137  # what a shell reports for kill -9


@dataclasses.dataclass
class Order:
    """One fault. `server_id` None means any server; `times` 0 means always, after the first `skip` passes.

    `rate` is the share of passes that it strikes.
    """

    step: str
    action: str  # fail | slow | crash
    server_id: str | None = None
    times: int = 1
    skip: int = 0
    seconds: float = 1.0
    rate: float = 1.0
    reason: str = "The fake host was told to fail."


class Faults:
    """The orders of one fake host, and the names of the steps it passed (`passed`, for campaigns)."""

    def __init__(self, control_file: Path | None = None, remember: int = 10_000) -> None:
        self._control_file = control_file
        self._version: tuple[int, int] | None = None
        self._lock = threading.Lock()
        self._orders: list[Order] = []
        self._from_file: list[Order] = []
        self._remember = remember
        self.passed: list[str] = []

    def order(self, order: Order) -> None:
        """Add a fault."""
        with self._lock:
            self._orders.append(order)

    def clear(self) -> None:
        """Drop all faults ordered in this process."""
        with self._lock:
            self._orders.clear()

    def reach(self, step: str, server_id: str | None = None) -> None:
        """Carry out the orders for this step; raises AgentError for `fail`."""
        with self._lock:
            if len(self.passed) < self._remember:
                self.passed.append(step)
            self._read_file()
            due = [order for order in (*self._orders, *self._from_file)
                   if order.step == step and order.server_id in (None, server_id) and order.times >= 0
                   and random.random() < order.rate]
            spared = [order for order in due if order.skip]
            due = [order for order in due if not order.skip]
            for order in spared:
                order.skip -= 1
            for order in due:
                # Counted down to 1, then -1 is spent; 0 stays for ever.
                order.times = order.times - 1 if order.times > 1 else (-1 if order.times == 1 else 0)
        for order in due:
            LOG.info("Fake fault at %s: %s", step, order.action)
            if order.action == "crash":
                self._forget_in_file(order)
                os._exit(CRASH_STATUS)
            elif order.action == "slow":
                time.sleep(order.seconds)
            else:
                raise errors.AgentError(reason=order.reason)

    def _forget_in_file(self, order: Order) -> None:
        """Take a spent order out of the control file, or the restarted process would crash there again."""
        if self._control_file is not None and order in self._from_file and order.times < 0:
            left = [dataclasses.asdict(other) for other in self._from_file if other.times >= 0]
            write_atomically(self._control_file, json.dumps(left).encode())

    def _read_file(self) -> None:
        if self._control_file is None:
            return
        try:
            status = self._control_file.stat()
        except FileNotFoundError:
            self._from_file, self._version = [], None
            return
        version = (status.st_mtime_ns, status.st_ino)
        if version != self._version:
            self._version = version
            self._from_file = [Order(**values) for values in json.loads(self._control_file.read_text())]
