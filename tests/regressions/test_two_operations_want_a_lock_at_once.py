"""The claim of an operation that waits for a lock failed when another one took it at the same moment."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import orm

from hostler import ids
from hostler.db.engine import Database
from hostler.db.models import Lock, Operation
from hostler.operations import lease, states
from tests.harness import databases
from tests.harness.fixtures import database_url

__all__ = ["database_url"]


@pytest.fixture
def db(database_url: str) -> Any:
    made = databases.opened(database_url)
    yield made
    made.dispose()


def test_the_claim_is_postponed(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting, other, server_id = (ids.new_id() for _ in range(3))

    def accept(session: orm.Session) -> None:
        session.add_all([Operation(id=operation_id, kind="server.delete", resource_type="server",
                                   resource_id=server_id, request_id="req", waits_for_lock=operation_id == waiting)
                         for operation_id in (waiting, other)])
        session.flush()
        session.add(Lock(resource_id=server_id, resource_type="server", operation_id=other, kind="server.delete"))

    db.write(accept)
    with monkeypatch.context() as patch:  # it looked just before the other one wrote
        patch.setattr(orm.Session, "get", lambda *_: None)
        assert lease.claim(db, waiting, "one", 30) is None
    with db.reading() as session:
        assert session.get_one(Operation, waiting).state == states.PENDING
    db.write(lambda session: session.execute(sa.delete(Lock)))
    assert lease.claim(db, waiting, "one", 30) is not None
