"""A process reports each service whose work it does."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from hostler import clock, conf
from hostler.db import schema
from hostler.db.engine import Database
from hostler.db.models import Service
from hostler.liveness import Liveness
from tests.harness import chosen_database, databases


@pytest.fixture
def db(tmp_path: Path) -> Database:
    return databases.prepare(Database(chosen_database.url_of(tmp_path / "cloud.db")), schema.upgrade)


def report(db: Database, host: str, *binaries: str) -> None:
    liveness = Liveness(conf.load([], config_files=[], overrides={"host": host}), db, *binaries)
    db.write(lambda session: liveness._write(session, clock.utcnow()))


def listed(db: Database) -> list[tuple[int, str, str]]:
    with db.reading() as session:
        return [row._tuple() for row in session.execute(
            sa.select(Service.number, Service.binary, Service.host).order_by(Service.number))]


def test_one_report_is_for_all_of_them(db: Database) -> None:
    for _ in range(2):
        report(db, "control", "nova-conductor", "nova-scheduler")
    assert listed(db) == [(1, "nova-conductor", "control"), (2, "nova-scheduler", "control")]


def test_what_another_process_has_reported_is_taken_over(db: Database) -> None:
    report(db, "other", "nova-scheduler")
    report(db, "control", "nova-scheduler")
    report(db, "control", "nova-conductor", "nova-scheduler")
    assert listed(db) == [(1, "nova-scheduler", "other"), (2, "nova-scheduler", "control"),
                          (3, "nova-conductor", "control")]
