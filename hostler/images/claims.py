"""Room for image data that is on its way, claimed from its owner's quota before the bytes are taken.

An announced length is claimed whole, before the first byte. Data of unknown length claims `STEP_BYTES` more each time
it reaches its claim, so that two such uploads can never take more than the quota together. The claim is a column of the
image's row; the size of the content replaces it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import sqlalchemy as sa
from oslo_config import cfg
from sqlalchemy import orm

from hostler import errors
from hostler.db.engine import Database
from hostler.db.models import Image
from hostler.resources import quota

STEP_BYTES: Final = 64 << 20
SIZE: Final = "image_size_total"
UPLOADING: Final = "image_count_uploading"


def mib(size_bytes: int) -> int:
    """Return a size as quotas count it: MiB, rounded up."""
    return -(-size_bytes >> 20)


class Claim:
    """What one image has claimed; an image without owner claims nothing."""

    def __init__(self, db: Database, conf: cfg.ConfigOpts, image: Image) -> None:
        self._db = db
        self._conf = conf
        self._image = image
        self._claimed = image.claimed_bytes or 0

    def watch(self, blocks: Iterable[bytes], announced_bytes: int | None) -> Iterator[bytes]:
        """Yield `blocks`, each claimed before; raises QuotaExceeded. At the end what came is claimed, no more."""
        if announced_bytes:
            self._raise_to(announced_bytes)
        received = 0
        for block in blocks:
            received += len(block)
            if received > self._claimed:
                self._go_on(received)
            yield block
        if received < self._claimed:
            self._write(received)

    def _go_on(self, received: int) -> None:
        try:
            self._raise_to(received + STEP_BYTES)
        except errors.QuotaExceeded:
            self._raise_to(received)  # what is left of the quota is less than a step

    def _raise_to(self, size_bytes: int) -> None:
        if size_bytes > self._claimed:
            self._write(size_bytes)

    def _write(self, size_bytes: int) -> None:
        project_id, more = self._image.project_id, mib(size_bytes) - mib(self._claimed)
        if project_id is None:
            return

        def work(session: orm.Session) -> None:
            if more > 0:
                quota.claim(self._db, session, self._conf, project_id, {SIZE: more})
            session.execute(sa.update(Image).where(Image.id == self._image.id, Image.deleted_at.is_(None))
                            .values(claimed_bytes=size_bytes).execution_options(synchronize_session=False))

        self._db.write(work)
        self._claimed = size_bytes
