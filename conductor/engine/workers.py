"""The pool: wake-ups and polls in, claims, runs, renewals; and an orderly stop.

What is queued here is not yet claimed, so another conductor may take it at any time; what is claimed is renewed until
its run ends.
"""

from __future__ import annotations

import logging
import threading
from concurrent import futures

from oslo_config import cfg

from conductor.engine.runner import Runner
from conductor.engine.slots import Slots
from conductor.run import CloudAccess
from hostler import errors
from hostler.operations import lease

LOG = logging.getLogger(__name__)


class Workers:
    """Runs operations until it is stopped."""

    def __init__(self, cloud: CloudAccess, conf: cfg.ConfigOpts) -> None:
        self._cloud = cloud
        self._options = conf.conductor
        self._host = conf.host
        self.owner = lease.owner_name(conf.host)
        self._stop = threading.Event()
        self._slots = Slots(self._options.per_host_limit)
        self._runner = Runner(cloud, self._slots, self._stop.is_set, self.submit)
        self._pool = futures.ThreadPoolExecutor(self._options.workers, thread_name_prefix="operation")
        self._lock = threading.Lock()
        self._queued: set[str] = set()
        self._held: set[str] = set()
        self._threads = [threading.Thread(target=loop, name=name, daemon=True) for loop, name in
                         ((self._poll, "operation-poll"), (self._renew, "operation-lease"))]

    def start(self) -> None:
        """Take back what this host's dead processes held, then look for work."""
        lease.expire_dead_owners(self._cloud.db, self._host)
        for thread in self._threads:
            thread.start()

    def submit(self, operation_id: str) -> None:
        """Queue an operation, unless it is queued or running here already."""
        with self._lock:
            if self._stop.is_set() or operation_id in self._queued or operation_id in self._held:
                return
            self._queued.add(operation_id)
        self._pool.submit(self._work, operation_id)

    def stop(self, timeout_s: float = 30) -> None:
        """Finish the tasks under way, hand over the rest, and end."""
        self._stop.set()
        self._pool.shutdown(wait=False, cancel_futures=True)
        waiter = threading.Thread(target=self._pool.shutdown, kwargs={"wait": True}, daemon=True)
        waiter.start()
        waiter.join(timeout_s)
        for thread in self._threads:
            if thread.is_alive():
                thread.join(timeout=5)

    def _work(self, operation_id: str) -> None:
        try:
            held = self._claim(operation_id)
            if held is not None:
                self._run(held)
        except errors.DatabaseUnavailable as error:
            LOG.warning("operation %s waits: %s", operation_id, error)
        except Exception:
            LOG.exception("operation %s: its run failed; it is taken over when its lease ends", operation_id)
        finally:
            with self._lock:
                self._queued.discard(operation_id)
                self._held.discard(operation_id)
            waiting = self._slots.leave(operation_id)
            if waiting is not None:
                self.submit(waiting)

    def _claim(self, operation_id: str) -> lease.Claim | None:
        if self._stop.is_set():
            return None
        held = lease.claim(self._cloud.db, operation_id, self.owner, self._options.lease_seconds,
                           admit=lambda host: self._admit(operation_id, host))
        with self._lock:
            self._queued.discard(operation_id)
            if held is not None:
                self._held.add(operation_id)
        return held

    def _admit(self, operation_id: str, host: str | None) -> bool:
        if host is None or self._slots.enter(operation_id, host, wait_s=0):
            return True
        self._slots.wait(operation_id, host)
        return False

    def _run(self, held: lease.Claim) -> None:
        stop = self._runner.run(held)
        if stop is None:
            return
        if stop.host is not None and stop.waiting_for is None:
            self._slots.wait(held.id, stop.host)

    def _poll(self) -> None:
        while not self._stop.wait(self._options.poll_interval):
            try:
                with self._lock:
                    room = 2 * self._options.workers - len(self._queued)
                if room > 0:
                    for found in lease.due(self._cloud.db, room, except_hosts=self._slots.full_hosts()):
                        self.submit(found.id)
            except errors.DatabaseUnavailable as error:
                LOG.warning("looking for operations failed: %s", error)
            except Exception:
                LOG.exception("looking for operations failed; the thread goes on")

    def _renew(self) -> None:
        while not self._stop.is_set() or self._held:
            self._stop.wait(self._options.lease_seconds / 3)
            with self._lock:
                held = list(self._held)
            if not held:
                if self._stop.is_set():
                    return
                continue
            try:
                lease.renew(self._cloud.db, self.owner, held, self._options.lease_seconds)
            except errors.DatabaseUnavailable as error:
                LOG.warning("renewing %s leases failed: %s", len(held), error)
            except Exception:
                LOG.exception("renewing %s leases failed; the thread goes on", len(held))
            if self._stop.is_set():
                threading.Event().wait(0.2)
