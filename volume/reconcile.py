"""Removes what is on the node and in nobody's records: leftovers of crashes, exports without an attachment.

The agent says what is there and the conductors answer what of it is surely not wanted any more; nothing else is ever
removed, and nothing at all when they do not answer. The answer is about a moment that has passed: a volume that
anybody worked on since the look is left for the next turn.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Protocol

from hostler import errors
from hostler.context import RequestContext
from hostler.resources.volume_specs import SnapshotSpec, VolumeSpec
from volume.backends import Backends
from volume.backups.store import BackupStore
from volume.images import ImageContents
from volume.report import Reporter
from volume.work import Workbench

LOG = logging.getLogger(__name__)


class Judge(Protocol):
    """The conductors, as far as reconciliation goes."""

    def volume_reconcile(self, context: RequestContext, node: str, present: dict[str, Any]) -> dict[str, Any]:
        """Say what of `present` to remove."""


class Reconciler:
    """Compares and removes."""

    def __init__(self, node: str, backends: Backends, store: BackupStore, images: ImageContents, bench: Workbench,
                 reporter: Reporter, judge: Judge) -> None:
        self._node = node
        self._backends = backends
        self._store = store
        self._images = images
        self._bench = bench
        self._reporter = reporter
        self._judge = judge

    def run(self) -> None:
        """One turn; raises Silent when no conductor answers, otherwise logs what could not be removed."""
        mark = self._bench.locks.mark()
        answer = self._judge.volume_reconcile(RequestContext.system(), self._node, self._reporter.inventory())
        for item in answer.get("connections", ()):
            self._remove(mark, item["volume_id"], f"connection {item['attachment_id']}", lambda item=item: (  # type: ignore[misc]
                self._backends.driver(item["backend"]).disconnect(item["volume_id"], item["attachment_id"])))
        for item in answer.get("snapshots", ()):
            self._remove(mark, item["volume_id"], f"snapshot {item['id']}", lambda item=item: (  # type: ignore[misc]
                self._backends.driver(item["backend"]).delete_snapshot(*_snapshot(item))))
        for item in answer.get("volumes", ()):
            self._remove(mark, item["id"], f"volume {item['id']}", lambda item=item: (  # type: ignore[misc]
                self._backends.driver(item["backend"]).delete_volume(_volume(item["id"], item["backend"]))))
        for backup_id in answer.get("backups", ()):
            self._remove(mark, backup_id, f"backup {backup_id}",
                         lambda backup_id=backup_id: self._store.delete(backup_id))  # type: ignore[misc]
        self._bench.locks.forget_before(mark)
        self._images.trim()

    def _remove(self, mark: int, lock_id: str, what: str, act: Callable[[], None]) -> None:
        if self._bench.locks.changed_since(lock_id, mark):
            return
        LOG.warning("Nothing knows %s; removing it", what)
        try:
            with self._bench.work_on(lock_id, None):
                act()
        except errors.HostlerError as error:
            LOG.error("Cannot remove %s: %s", what, error)


def _volume(volume_id: str, backend: str) -> VolumeSpec:
    return VolumeSpec(id=volume_id, backend=backend, size_gib=0)


def _snapshot(item: dict[str, Any]) -> tuple[SnapshotSpec, VolumeSpec]:
    return (SnapshotSpec(id=item["id"], volume_id=item["volume_id"], size_gib=0),
            _volume(item["volume_id"], item["backend"]))
