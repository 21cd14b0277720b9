"""The Block Storage API besides volumes, on the cloud of the volumes' own tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from hostler import clock, ids
from hostler.context import RequestContext
from hostler.db.models import Backend, Lock, Operation, Service, Volume, VolumeNode
from tests.harness.volume_core import BACKEND, DEMO, NODE, USER, Cloud, FakeWaker, build

STORE = "99999999-9999-4999-8999-999999999999"


class Settling(FakeWaker):
    """Ends what it is to wake, as `outcome` says: a function of the operation, or None to leave it."""

    def __init__(self) -> None:
        super().__init__()
        self.outcome: Callable[[Any, Operation], None] | None = None
        self.db: Any = None

    def wake(self, context: RequestContext, *operation_ids: str) -> None:
        """Note the ids and end the operations."""
        super().wake(context, *operation_ids)
        if self.outcome is not None:
            for operation_id in operation_ids:
                self.db.write(lambda session, found=operation_id: self._end(session, found))

    def _end(self, session: Any, operation_id: str) -> None:
        operation = session.get(Operation, operation_id)
        operation.state, operation.finished_at = "succeeded", clock.utcnow()
        assert self.outcome is not None
        self.outcome(session, operation)
        session.execute(sa.delete(Lock).where(Lock.operation_id == operation_id))


def prepare(directory: Path, url: str | None = None) -> Cloud:
    """Return a cloud of a node with two back ends and a backup store, a scheduler, and conductors that do as told."""
    settling = Settling()
    made = build(directory, url=url, waker=settling)
    settling.db = made.services.db
    made.services.db.write(lambda session: session.execute(
        sa.update(VolumeNode).values(backup_store=STORE)))
    made.add(Service(number=1, binary="nova-scheduler", host="control"),
             Service(number=2, binary="nova-conductor", host="control"))
    return made


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    """A fresh cloud."""
    made = prepare(tmp_path)
    yield made
    made.services.db.dispose()


def free(cloud: Cloud, *resource_ids: str) -> None:
    """Take the locks off, as a conductor does at an operation's end."""
    def work(session: Any) -> None:
        for lock in session.scalars(sa.select(Lock).where(Lock.resource_id.in_(resource_ids))).all():
            operation = session.get(Operation, lock.operation_id)
            operation.state = "succeeded"
            session.execute(sa.delete(Lock).where(Lock.operation_id == operation.id))
    cloud.services.db.write(work)


def put_volume(cloud: Cloud, size_gib: int = 1, **values: Any) -> str:
    """Write an available volume; returns its id."""
    volume_id = ids.new_id()
    cloud.add(Volume(**{
        "id": volume_id, "name": "vol", "project_id": DEMO, "user_id": USER, "state": "available",
        "size_gib": size_gib, "claimed_gib": size_gib, "zone": "nova", "backend_id": BACKEND, **values}))
    return volume_id


def change(cloud: Cloud, model: Any, identity: str, **values: Any) -> None:
    """Set columns of a row."""
    cloud.services.db.write(lambda session: session.execute(
        sa.update(model).where(model.id == identity).values(**values)))


def offline(cloud: Cloud) -> None:
    """Have the first back end unable to make snapshots of attached volumes."""
    change(cloud, Backend, BACKEND, capabilities={"online_snapshot": False})


def without_store(cloud: Cloud) -> None:
    """Have the node reach no backup store."""
    change(cloud, VolumeNode, NODE, backup_store=None)


class Statements:
    """Counts the statements of one connection pool."""

    def __init__(self, cloud: Cloud) -> None:
        self._engine = cloud.services.db.engine
        self.count = 0

    def __enter__(self) -> Statements:
        sa.event.listen(self._engine, "before_cursor_execute", self._note)
        return self

    def __exit__(self, *_error: object) -> None:
        sa.event.remove(self._engine, "before_cursor_execute", self._note)

    def _note(self, *_arguments: Any) -> None:
        self.count += 1
