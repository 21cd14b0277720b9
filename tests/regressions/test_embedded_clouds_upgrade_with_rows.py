"""An embedded cloud (SQLite) that had servers could not be upgraded: FOREIGN KEY constraint failed.

SQLite gets most columns by replacing the table, which others refer to. Other databases:
`tests/integration/databases/test_migrations_with_data.py`.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from hostler.db import schema
from hostler.db.engine import Database
from tests.harness.filled_tables import count_rows, fill


def test_it_is_upgraded_and_keeps_its_references(tmp_path: Path) -> None:
    db = Database(f"sqlite:///{tmp_path / 'hostler.db'}", sqlite_synchronous="OFF")
    schema.upgrade(db, "0004")
    fill(db)
    before = count_rows(db)
    schema.upgrade(db)
    after = count_rows(db)
    assert {name: count for name, count in before.items() if after.get(name, 0) < count} == {}
    with db.engine.connect() as connection:
        assert connection.execute(sa.text("PRAGMA foreign_key_check")).all() == []
        assert connection.scalar(sa.text("PRAGMA foreign_keys")) == 1
    db.dispose()
