"""A scheduler that slept between its choice and its claim claimed for a server that was deleted by then.

Nobody gave that claim back: the host's room was lost. The claim's own transaction must find the attempt still running.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import sqlalchemy as sa
from sqlalchemy import orm

from hostler import clock, errors, ids
from hostler.context import RequestContext
from hostler.db.engine import Database
from hostler.db.models import (
    Allocation,
    Backend,
    Domain,
    Host,
    Operation,
    Project,
    Server,
    Volume,
    VolumeNode,
    Zone,
)
from hostler.operations import states
from scheduler.backend_request import BackendRequest
from scheduler.request import Request
from tests.harness import databases
from tests.harness.contexts import attempt_of
from tests.harness.scheduler_rig import make_chooser, make_manager

PROJECT = ids.new_id()
Change = Callable[[orm.Session, str], None]


@pytest.fixture(scope="module")
def db(database_url: str) -> Iterator[Database]:
    """A database with a host and a storage node in service."""
    database = databases.opened(database_url)
    database.write(seed)
    yield database
    database.dispose()


def seed(session: orm.Session) -> None:
    zone, now = Zone(name="nova"), clock.utcnow()
    session.add_all([Domain(id="default", name="d"), zone])
    session.flush()
    node = VolumeNode(name="node", zone_id=zone.id, last_seen_at=now)
    session.add_all([Project(id=PROJECT, name="p", domain_id="default"), node,
                     Host(name="host", number=1, zone_id=zone.id, vcpus=8, ram_mib=8192, disk_gib=100,
                          last_seen_at=now)])
    session.flush()
    session.add(Backend(name="b", node_id=node.id, driver="fake", total_gib=100.0, free_gib=100.0))


def accept(db: Database, kind: str, resource_id: str) -> RequestContext:
    """Write an operation whose second attempt runs; return its context."""
    def work(session: orm.Session) -> str:
        operation = Operation(id=ids.new_id(), kind=f"{kind}.create", resource_type=kind, resource_id=resource_id,
                              request_id="r", state=states.RUNNING, attempt=2)
        session.add(operation)
        return operation.id

    return attempt_of(db.write(work), 2)


def end(session: orm.Session, operation_id: str) -> None:
    session.execute(sa.update(Operation).where(Operation.id == operation_id).values(state=states.FAILED))


def take_over(session: orm.Session, operation_id: str) -> None:
    session.execute(sa.update(Operation).where(Operation.id == operation_id).values(attempt=3))


def purge(session: orm.Session, operation_id: str) -> None:
    session.execute(sa.delete(Operation).where(Operation.id == operation_id))


def sleeping(select: Callable[..., object], change: Callable[[], None]) -> Callable[..., object]:
    """Return `select` that is followed by what happens while the scheduler sleeps."""
    def wrapped(*arguments: object) -> object:
        plan = select(*arguments)
        change()
        return plan

    return wrapped


@pytest.mark.parametrize("change", [end, take_over, purge])
def test_no_host_is_claimed_for_an_attempt_that_ended(db: Database, change: Change,
                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    server_id = ids.new_id()
    db.write(lambda session: session.add(Server(
        id=server_id, name="s", project_id=PROJECT, user_id=ids.new_id(), vm_state="building", flavor_id=ids.new_id(),
        vcpus=1, ram_mib=512, root_gib=1)))
    context, manager = accept(db, "server", server_id), make_manager(db)
    selector = manager._selector
    monkeypatch.setattr(selector, "select", sleeping(
        selector.select, lambda: db.write(lambda session: change(session, str(context.operation_id)))))
    with pytest.raises(errors.StaleAttempt):
        manager.choose(Request(consumer_id=server_id, vcpus=1, ram_mib=512, disk_gib=1), context)
    with db.reading() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Allocation)) == 0


@pytest.mark.parametrize("change", [end, take_over, purge])
def test_no_back_end_is_claimed_for_an_attempt_that_ended(db: Database, change: Change,
                                                          monkeypatch: pytest.MonkeyPatch) -> None:
    volume_id = ids.new_id()
    db.write(lambda session: session.add(Volume(
        id=volume_id, project_id=PROJECT, user_id=ids.new_id(), state="creating", size_gib=1, claimed_gib=1,
        zone="nova")))
    context, chooser = accept(db, "volume", volume_id), make_chooser(db)
    selector = chooser._selector
    monkeypatch.setattr(selector, "select", sleeping(
        selector.select, lambda: db.write(lambda session: change(session, str(context.operation_id)))))
    with pytest.raises(errors.StaleAttempt):
        chooser.choose([BackendRequest(volume_id=volume_id)], context)
    with db.reading() as session:
        assert session.scalar(sa.select(Volume.backend_id).where(Volume.id == volume_id)) is None


def test_a_running_attempt_gets_what_it_asks_for(db: Database) -> None:
    server_id, volume_id = ids.new_id(), ids.new_id()
    db.write(lambda session: session.add_all([
        Server(id=server_id, name="s", project_id=PROJECT, user_id=ids.new_id(), vm_state="building",
               flavor_id=ids.new_id(), vcpus=1, ram_mib=512, root_gib=1),
        Volume(id=volume_id, project_id=PROJECT, user_id=ids.new_id(), state="creating", size_gib=1, claimed_gib=1,
               zone="nova")]))
    host = make_manager(db).choose(Request(consumer_id=server_id, vcpus=1, ram_mib=512, disk_gib=1),
                                   accept(db, "server", server_id))
    assert host.host == "host"
    [backend] = make_chooser(db).choose([BackendRequest(volume_id=volume_id)], accept(db, "volume", volume_id))
    assert backend.backend == "b"
