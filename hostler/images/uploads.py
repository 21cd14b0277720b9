"""Uploads in the database: who may start one, how one stays alive, how a dead one is noticed.

The request that carries the data is the worker, so nothing resumes it when its process dies. While it lives it
touches `updated_at` every few seconds; an image that is `saving` (or receiving staged data, or importing) and was not
touched for a minute has lost its worker and goes back to `queued`, whichever process finds it.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any

import sqlalchemy as sa
from oslo_config import cfg
from sqlalchemy import exc, orm

from hostler import clock, errors
from hostler.db.engine import Database
from hostler.db.models import Image
from hostler.images import claims
from hostler.images.hashing import Content
from hostler.images.inspect import Inspection
from hostler.images.moves import IMAGE
from hostler.images.statuses import ACTIVE, IMPORTING, QUEUED, SAVING, UPLOADING, WORKING
from hostler.images.store import ImageStore
from hostler.resources import quota

LOG = logging.getLogger(__name__)

TOUCH_INTERVAL_S = 5.0
STALE_AFTER_S = 60.0
# Who has watched an image for so long without a touch may take it over from the request that held it.
DEAD_AFTER_S = 12.0


def is_referenced(db: Database) -> Callable[[str], bool]:
    """Return a function that says whether a record refers to content, for `ImageStore`."""

    def look(sha256: str) -> bool:
        with db.reading() as session:
            return session.scalar(sa.select(Image.id).where(Image.sha256 == sha256, Image.deleted_at.is_(None))
                                  .limit(1)) is not None

    return look


def is_staging(db: Database) -> Callable[[str], bool]:
    """Return a function that says whether an image may still need its staged data, for `ImageStore.sweep`."""

    def look(image_id: str) -> bool:
        with db.reading() as session:
            return session.scalar(sa.select(Image.id).where(
                Image.id == image_id, Image.status.in_((UPLOADING, IMPORTING)),
                Image.deleted_at.is_(None))) is not None

    return look


def move(db: Database, image_id: str, before: Sequence[str], after: str, **values: Any) -> bool:
    """Change an image's status by compare-and-set; return whether it was in one of `before`."""

    def work(session: orm.Session) -> bool:
        return _move(session, [Image.id == image_id], before, after, **values)

    return db.write(work)


@contextlib.contextmanager
def working(db: Database, conf: cfg.ConfigOpts, image: Image, before: str, during: str, *, action: str
            ) -> Iterator[None]:
    """Hold `image` in status `during` while the block runs, touching it; when the block fails, queue it again.

    Raises InvalidState when the image is not `before`, QuotaExceeded when its project has too many at work.
    """
    if not _begin(db, conf, image, before, during):
        raise errors.InvalidState(action=action, resource="image", id=image.id, attribute="status",
                                  state=_status(db, image.id))
    try:
        with _Pulse(db, image.id, during):
            yield
    except BaseException:
        # An agent's upload may be tried again with the room it was accepted with.
        claimed_bytes = image.claimed_bytes if before == QUEUED else None
        if move(db, image.id, [during], QUEUED, claimed_bytes=claimed_bytes):
            LOG.info("image %s: %s did not complete; it is queued again", image.id, action)
        raise


def _begin(db: Database, conf: cfg.ConfigOpts, image: Image, before: str, during: str) -> bool:
    def work(session: orm.Session) -> bool:
        if before not in WORKING and image.project_id is not None:
            quota.claim(db, session, conf, image.project_id, {claims.UPLOADING: 1})
        return _move(session, [Image.id == image.id], [before], during)

    return db.write(work)


def activate(db: Database, image: Image, during: str, content: Content, inspection: Inspection) -> None:
    """Make `content` the data of an image in status `during`; may be repeated.

    The formats must still be those the data was inspected for. Raises Conflict when the image is gone, changed, or
    no longer in `during`.
    """
    values: dict[str, Any] = {
        "md5": content.md5, "sha256": content.sha256, "sha512": content.sha512, "size_bytes": content.size_bytes,
        "claimed_bytes": None, "virtual_size_bytes": inspection.virtual_size(content.size_bytes)}

    def work(session: orm.Session) -> None:
        same = [Image.id == image.id, Image.disk_format == image.disk_format,
                Image.container_format == image.container_format]
        if _move(session, same, [during], ACTIVE, **values):
            return
        # A commit whose answer was lost is tried again, and finds its own work.
        if session.scalar(sa.select(Image.id).where(*same, Image.status == ACTIVE, Image.deleted_at.is_(None),
                                                    Image.sha256 == content.sha256)) is None:
            raise errors.Conflict(reason=f"Image {image.id} was changed or deleted during the upload.")

    db.write(work)


def heal_interrupted_uploads(db: Database, store: ImageStore, *, stale_after_s: float = STALE_AFTER_S) -> list[str]:
    """Queue images again whose upload lost its process; return their ids.

    To be called when an api starts and every minute or so by each; any number may do it at once. An image whose
    staged data is complete keeps waiting for its import.
    """
    before = clock.utcnow() - dt.timedelta(seconds=stale_after_s)
    with db.reading() as session:
        stale = session.execute(sa.select(Image.id, Image.status).where(
            Image.status.in_(WORKING), Image.updated_at < before, Image.deleted_at.is_(None))).tuples().all()
    healed = []
    for image_id, status in stale:
        if status == UPLOADING and store.has_staged(image_id):
            continue
        if db.write(lambda session, image_id=image_id, status=status: _move(  # type: ignore[misc]
                session, [Image.id == image_id, Image.updated_at < before], [status], QUEUED, claimed_bytes=None)):
            LOG.warning("image %s: its upload lost its process while %s; it is queued again", image_id, status)
            store.unstage(image_id)
            healed.append(image_id)
    return healed


def _move(session: orm.Session, criteria: list[sa.ColumnElement[bool]], before: Sequence[str], after: str,
          **values: Any) -> bool:
    return IMAGE.move_all(session, after, {**values, "updated_at": clock.utcnow()}, only_from=before,
                          where=[*criteria, Image.deleted_at.is_(None)]) == 1


def take_over(db: Database, image: Image) -> None:
    """Queue an image that is `saving` again, unless it was touched since it was read; keep its claim."""
    if db.write(lambda session: _move(session, [Image.id == image.id, Image.updated_at == image.updated_at],
                                      [SAVING], QUEUED)):
        LOG.warning("image %s: its upload lost its process; the agent that sends it takes over", image.id)


def _status(db: Database, image_id: str) -> str:
    with db.reading() as session:
        return session.scalar(sa.select(Image.status).where(Image.id == image_id)) or "deleted"


class _Pulse:
    """Touches the image from a thread of its own, so that a slow client is not taken for a dead process."""

    def __init__(self, db: Database, image_id: str, during: str) -> None:
        self._db = db
        self._image_id = image_id
        self._during = during
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"upload-{image_id}", daemon=True)

    def __enter__(self) -> _Pulse:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(TOUCH_INTERVAL_S):
            try:
                if not move(self._db, self._image_id, [self._during], self._during):
                    return  # deleted or healed: `activate` finds out
            except (errors.DatabaseUnavailable, exc.SQLAlchemyError) as error:
                LOG.warning("image %s: its upload could not be marked as alive: %s", self._image_id, error)
