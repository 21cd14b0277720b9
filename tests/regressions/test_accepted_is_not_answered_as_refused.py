"""The database took a request's commit and then was gone for a while: the request was answered with 503, which tells
clients that nothing was changed, though it had been accepted."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event, exc

from hostler import errors, ids
from hostler.db import committed, engine
from tests.harness.client import Client
from tests.harness.inprocess import Cloud
from tests.harness.ports import wait_for
from tests.harness.request_threads import serves_requests

OUTAGE_S = 3.5  # longer than all retries of a transaction take


class Outage:
    """Armed with `seconds`, it begins when a thread that serves requests has committed; only that thread meets it."""

    def __init__(self, cloud: Cloud) -> None:
        self.seconds = 0.0
        self.answer_lost = False
        self._ends: dict[int, float] = {}
        self._dialect = cloud.db.engine.dialect
        self._commit = self._dialect.do_commit

    def commit(self, connection: Any) -> None:
        """Commit; from then on the database is gone, with or without having said that it did."""
        self._commit(connection)
        if self.seconds and serves_requests():
            self.begin()
            if self.answer_lost:
                raise self._gone("COMMIT")

    def begin(self) -> None:
        """Be gone for this thread."""
        self._ends[threading.get_ident()] = time.monotonic() + self.seconds
        self.seconds = 0.0

    def check(self, _connection: sa.Connection, _cursor: Any, statement: str, *_rest: Any) -> None:
        """Refuse a statement during the outage."""
        if time.monotonic() < self._ends.get(threading.get_ident(), 0.0):
            raise self._gone(statement)

    def over(self) -> bool:
        """Tell whether the database is back for every thread."""
        return all(time.monotonic() >= end for end in self._ends.values())

    @staticmethod
    def _gone(statement: str) -> exc.OperationalError:
        return exc.OperationalError(statement, {}, Exception("gone"), connection_invalidated=True)


@pytest.fixture
def outage(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[Outage]:
    """The fault, not armed."""
    made = Outage(cloud)
    monkeypatch.setattr(cloud.db.engine.dialect, "do_commit", made.commit)
    event.listen(cloud.db.engine, "before_cursor_execute", made.check)
    yield made
    event.remove(cloud.db.engine, "before_cursor_execute", made.check)


@pytest.mark.parametrize("answer_lost", [False, True])
def test_the_answer_waits_for_the_database(client: Client, outage: Outage, *, answer_lost: bool) -> None:
    name = ids.new_id()
    outage.answer_lost, outage.seconds = answer_lost, OUTAGE_S
    answer = client.post("/volume/v3/volumes", {"volume": {"size": 1, "name": name}})
    assert answer.status_code == 202, answer.text
    assert answer.json()["volume"]["name"] == name
    assert len(client.get(f"/volume/v3/volumes?name={name}").json()["volumes"]) == 1


@pytest.mark.parametrize("answer_lost", [False, True])
def test_a_database_that_stays_away_leaves_the_outcome_open(cloud: Cloud, client: Client, outage: Outage,
                                                            monkeypatch: pytest.MonkeyPatch, *,
                                                            answer_lost: bool) -> None:
    monkeypatch.setattr(engine, "_UNSURE_S", 0.5)
    monkeypatch.setattr(cloud.db, "_patience_s", 0.5)
    name = ids.new_id()
    outage.answer_lost, outage.seconds = answer_lost, 3.0
    answer = client.post("/volume/v3/volumes", {"volume": {"size": 1, "name": name}})
    assert answer.status_code == 504
    assert "may have been made" in answer.text
    assert "Retry-After" not in answer.headers
    wait_for(outage.over, "the database", 15)
    assert len(client.get(f"/volume/v3/volumes?name={name}").json()["volumes"]) == 1


def test_a_request_that_waited_for_a_host_does_not_wait_as_long_again(cloud: Cloud, outage: Outage,
                                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_UNSURE_S", 1.0)
    monkeypatch.setattr(cloud.db, "_patience_s", 1.0)
    monkeypatch.setattr(committed, "request_age_s", lambda: 5.0)
    committed.begin_request()
    committed.note()
    outage.seconds = 2.0
    outage.begin()
    begun = time.monotonic()
    try:
        with pytest.raises(errors.OutcomeUnknown), cloud.db.reading():
            pass
    finally:
        committed.end_request()
    assert time.monotonic() - begun < 1.0
    wait_for(outage.over, "the database", 15)
