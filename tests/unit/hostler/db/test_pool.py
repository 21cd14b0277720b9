"""A burst shares the connections that are kept; one that waits for long opens another."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import event

from hostler.db import pool
from hostler.db.engine import Database


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path / 'test.db'}", pool_size=1, max_overflow=1)
    yield made
    made.dispose()


@pytest.fixture
def opened(db: Database) -> list[object]:
    connections: list[object] = []
    event.listen(db.engine, "connect", lambda connection, _record: connections.append(connection))
    return connections


def test_a_thread_takes_the_connection_that_comes_back(
        db: Database, opened: list[object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "_WAIT_S", 60)
    held = db.engine.connect()
    waiting = threading.Thread(target=lambda: db.engine.connect().close())
    waiting.start()
    held.close()
    waiting.join()
    assert len(opened) == 1


def test_a_connection_in_long_use_holds_nobody_up(
        db: Database, opened: list[object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "_WAIT_S", 0.01)
    with db.engine.connect(), db.engine.connect():
        assert len(opened) == 2
