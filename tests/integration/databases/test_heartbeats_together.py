"""Reports of hosts, many by one statement: each is answered when it is written, and none waits for another's row."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import event, orm

from conductor.heartbeat_batches import HeartbeatBatches, Report, write_many
from hostler.db.engine import Database
from hostler.db.models import Host, Zone
from hostler.db.moments import now
from hostler.db.timeouts import Timeouts
from tests.harness import databases

HOSTS = 12


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if reason := databases.missing("postgresql"):
        pytest.skip(reason)
    with databases.running("postgresql", Path(tmp_path_factory.mktemp("postgresql"))) as made:
        yield made


@pytest.fixture
def db(url: str) -> Iterator[Database]:
    made = databases.opened(url)
    made.write(_refill)
    yield made
    made.dispose()


def _refill(session: orm.Session) -> None:
    session.execute(sa.delete(Host))
    session.execute(sa.delete(Zone))
    zone = Zone(name="nova")
    session.add(zone)
    session.flush()
    session.add_all([Host(name=f"h{number}", number=number, zone_id=zone.id, vcpus=1, ram_mib=1, disk_gib=1,
                          report_digest="same", fence_generation=1, last_seen_at=now(-60)) for number in range(HOSTS)])


def _report(number: int, digest: str = "same", fence: int = 1) -> Report:
    return Report(f"h{number}", digest, fence, 100 + number)


def _seen(db: Database) -> dict[str, int]:
    with db.reading() as session:
        return dict(session.execute(sa.select(Host.name, Host.uptime_s).where(
            Host.last_seen_at > now(-30))).tuples().all())


def test_only_reports_that_say_nothing_new_are_written(db: Database) -> None:
    reports = [_report(0), _report(1, digest="other"), _report(2, fence=2), _report(99)]
    assert write_many(db, reports) == {"h0"}
    assert _seen(db) == {"h0": 100}


def test_a_row_that_is_held_keeps_no_other_host_from_being_seen(db: Database) -> None:
    with db.engine.begin() as holder:
        holder.execute(sa.select(Host.id).where(Host.name == "h3").with_for_update())
        assert write_many(db, [_report(number) for number in range(5)]) == {"h0", "h1", "h2", "h4"}
        assert "h3" not in _seen(db)


def test_reports_that_come_together_are_few_statements(db: Database, url: str) -> None:
    patient = Database(url, timeouts=Timeouts(lock_s=30))
    batches = HeartbeatBatches(patient)
    texts: list[str] = []
    event.listen(patient.engine, "before_cursor_execute", lambda *call: texts.append(call[2]))
    with ThreadPoolExecutor(HOSTS) as threads:
        assert batches.write(_report(0)) is True
        del texts[:]
        assert list(threads.map(batches.write, [_report(number) for number in range(HOSTS)])) == [True] * HOSTS
    assert len(texts) < HOSTS / 2
    assert _seen(db) == {f"h{number}": 100 + number for number in range(HOSTS)}
    assert batches.write(_report(0, digest="other")) is False
    patient.dispose()


def test_a_host_whose_row_is_held_is_seen_when_it_is_free(db: Database) -> None:
    batches = HeartbeatBatches(db)
    with ThreadPoolExecutor(1) as threads:
        with db.engine.begin() as holder:
            holder.execute(sa.select(Host.id).where(Host.name == "h3").with_for_update())
            held = threads.submit(batches.write, _report(3))
            assert batches.write(_report(4)) is True
            assert not held.done()
        assert held.result() is True
    assert _seen(db) == {"h3": 103, "h4": 104}


def test_a_failure_is_every_reports_own(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object) -> None:
        raise RuntimeError("no")

    monkeypatch.setattr(db, "write_alone", fail)
    batches = HeartbeatBatches(db)
    for _ in range(2):
        with pytest.raises(RuntimeError):
            batches.write(_report(0))
