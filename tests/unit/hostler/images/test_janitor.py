"""The janitor heals and sweeps by itself, and outlives a database that does not answer."""

from __future__ import annotations

import datetime as dt
import os
import time
from collections.abc import Callable

import pytest
from sqlalchemy import exc

from hostler import clock
from hostler.db.engine import Database
from hostler.db.models import Image
from hostler.images import janitor, uploads
from hostler.images.store import ImageStore


def _wait(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_the_janitor_tidies(db: Database, store: ImageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a dead upload, an old file nothing refers to, and a first failure, then both are put right."""
    image = Image(status="saving", updated_at=clock.utcnow() - dt.timedelta(seconds=120))
    db.write(lambda session: session.add(image))
    lost = store.receive([b"lost"], lambda content: store.path_of(content.sha256), lambda _sha256: True)
    os.utime(lost, (0, 0))
    heal = uploads.heal_interrupted_uploads
    calls: list[int] = []

    def fail_once(database: Database, images: ImageStore) -> list[str]:
        calls.append(1)
        if len(calls) == 1:
            raise exc.OperationalError("", None, Exception("away"))
        return heal(database, images)

    monkeypatch.setattr(uploads, "heal_interrupted_uploads", fail_once)
    monkeypatch.setattr(janitor, "HEAL_INTERVAL_S", 0.02)
    tidier = janitor.ImageJanitor(db, store)
    tidier.start()
    try:
        _wait(lambda: not lost.exists())
    finally:
        tidier.stop()
    with db.reading() as session:
        found = session.get(Image, image.id)
        assert found is not None and found.status == "queued"
