"""Removes what is on the node but in no record: leftovers of crashes, exports without an attachment.

The agent reports what is there and the conductors answer which of it is certainly unwanted; nothing else is ever
removed, and nothing at all when they do not answer. The answer may be out of date: a volume that was worked on since
the report is left for the next turn.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from hostler import errors
from hostler.context import RequestContext
from hostler.resources.volume.specs import SnapshotSpec, VolumeSpec
from volume.backends import Backends
from volume.backups.store import BackupStore
from volume.copy_snapshots import CopySnapshots
from volume.images import ImageContents
from volume.report import Reporter
from volume.work import Workbench

LOG = logging.getLogger(__name__)
Removal = tuple[str, Callable[[], None]]  # what, and how


class Judge(Protocol):
    """The conductors, as far as reconciliation goes."""

    def volume_reconcile(self, context: RequestContext, node: str, present: dict[str, Any]) -> dict[str, Any]:
        """Say what of `present` to remove."""


class Reconciler:
    """Compares and removes."""

    def __init__(self, node: str, backends: Backends, store: BackupStore, images: ImageContents,
                 copy_snapshots: CopySnapshots, bench: Workbench, reporter: Reporter, judge: Judge) -> None:
        self._node = node
        self._backends = backends
        self._store = store
        self._images = images
        self._copy_snapshots = copy_snapshots
        self._bench = bench
        self._reporter = reporter
        self._judge = judge

    def run(self) -> None:
        """One turn; raises Silent when no conductor answers, otherwise logs what could not be removed."""
        self._tidy()
        mark = self._bench.locks.mark()
        answer = self._judge.volume_reconcile(RequestContext.system(), self._node, self._reporter.inventory())
        for lock_id, removals in self._plan(answer).items():
            if not self._bench.locks.changed_since(lock_id, mark):
                with self._bench.work_on(lock_id, None):
                    for what, act in removals:
                        _remove(what, act)
        self._bench.locks.forget_before(mark)

    def _tidy(self) -> None:
        """Put the agent's own things in order; needs no conductor."""
        self._images.trim()
        try:
            self._copy_snapshots.sweep(self._backends, self._bench)
        except errors.HostlerError as error:
            LOG.error("Snapshots made for copies cannot be removed: %s", error.details)

    def _plan(self, answer: dict[str, Any]) -> dict[str, list[Removal]]:
        """Return what to remove under the lock of each volume or backup, in an order that works."""
        plan: dict[str, list[Removal]] = defaultdict(list)
        for item in answer.get("connections", ()):
            plan[item["volume_id"]].append((f"connection {item['attachment_id']}", partial(self._disconnect, item)))
        for item in answer.get("snapshots", ()):
            plan[item["volume_id"]].append((f"snapshot {item['id']}", partial(self._delete_snapshot, item)))
        for item in answer.get("volumes", ()):
            plan[item["id"]].append((f"volume {item['id']}", partial(self._delete_volume, item)))
        for backup_id in answer.get("backups", ()):
            plan[backup_id].append((f"backup {backup_id}", partial(self._store.delete, backup_id)))
        return plan

    def _disconnect(self, item: dict[str, Any]) -> None:
        self._backends.driver(item["backend"]).disconnect(item["volume_id"], item["attachment_id"])

    def _delete_snapshot(self, item: dict[str, Any]) -> None:
        snapshot = SnapshotSpec(id=item["id"], volume_id=item["volume_id"], size_gib=0)
        self._backends.driver(item["backend"]).delete_snapshot(snapshot, _volume(item["volume_id"], item["backend"]))

    def _delete_volume(self, item: dict[str, Any]) -> None:
        self._backends.driver(item["backend"]).delete_volume(_volume(item["id"], item["backend"]))


def _remove(what: str, act: Callable[[], None]) -> None:
    LOG.warning("Nothing knows %s; removing it", what)
    try:
        act()
    except (errors.HostlerError, OSError) as error:
        LOG.error("Cannot remove %s: %s", what, errors.details_of(error))


def _volume(volume_id: str, backend: str) -> VolumeSpec:
    return VolumeSpec(id=volume_id, backend=backend, size_gib=0)

