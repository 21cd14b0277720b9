"""A thread that tidies images: uploads that lost their process, now and then files nothing refers to.

Every api runs one; they may run at the same time.
"""

from __future__ import annotations

import logging
import threading
import time

from sqlalchemy import exc

from hostler import errors
from hostler.db.engine import Database
from hostler.images import uploads
from hostler.images.store import ImageStore

LOG = logging.getLogger(__name__)

HEAL_INTERVAL_S = 30.0
SWEEP_INTERVAL_S = 3600.0


class ImageJanitor:
    """Heals at once and every `HEAL_INTERVAL_S`, sweeps at once and every `SWEEP_INTERVAL_S`."""

    def __init__(self, db: Database, store: ImageStore) -> None:
        self._db = db
        self._store = store
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="image-janitor", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; what it is doing is finished first."""
        self._over.set()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        sweep_at = 0.0
        while True:
            try:
                uploads.heal_interrupted_uploads(self._db, self._store)
                if time.monotonic() >= sweep_at:
                    sweep_at = time.monotonic() + SWEEP_INTERVAL_S
                    for path in self._store.sweep(uploads.is_referenced(self._db), uploads.is_staging(self._db)):
                        LOG.warning("image store: %s was left over and is removed", path)
            except (errors.DatabaseUnavailable, exc.SQLAlchemyError, OSError) as error:
                LOG.warning("images could not be tidied just now: %s", error)
            if self._over.wait(HEAL_INTERVAL_S):
                return
