"""The snapshot follows the database: changes, reports, new hosts, aggregates; and says why nobody could take it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from hostler import clock, conf, errors, ids
from hostler.db.engine import Database
from hostler.db.models import Aggregate, AggregateHost, Host, Lock, Operation
from hostler.resources.server import allocations
from scheduler import store as store_module
from scheduler.manager import SchedulerManager
from scheduler.plugins import load_selector
from scheduler.store import Store
from tests.harness.scheduler_rig import make_manager, make_request

AddHosts = Callable[..., list[str]]


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.offset_s = 0.0

    def __call__(self) -> float:
        return clock.utcnow().replace(tzinfo=dt.UTC).timestamp() + self.offset_s


@pytest.fixture
def now() -> Clock:
    return Clock()


@pytest.fixture
def store(db: Database, now: Clock) -> Store:
    return Store(conf.load([], config_files=[], overrides={"service_down_time": 20}), db, now)


def change(db: Database, host_id: str, **values: Any) -> None:
    db.write(lambda session: session.execute(sa.update(Host).where(Host.id == host_id).values(**values)))


def test_a_snapshot_is_kept_for_the_refresh_interval(add_hosts: AddHosts, store: Store, now: Clock) -> None:
    add_hosts(2)
    first = store.current()
    assert store.current() is first
    now.offset_s += 1.1
    assert store.current() is not first


def test_changes_are_seen_without_reading_everything(db: Database, add_hosts: AddHosts, store: Store, now: Clock,
                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = add_hosts(2)
    store.current()
    monkeypatch.setattr(store_module.reading, "all_hosts", lambda _session: pytest.fail("read all hosts"))
    change(db, first, enabled=False, changed_at=clock.utcnow())
    db.write(lambda session: allocations.claim(session, consumer_id=ids.new_id(), host_id=second,
                                               expected_generation=0, vcpus=1, ram_mib=2, disk_gib=3))
    now.offset_s += 1.1
    snapshot = store.current()
    assert not snapshot.up[snapshot.row_of[first]] and snapshot.up[snapshot.row_of[second]]
    assert snapshot.used[:, snapshot.row_of[second]].tolist() == [1, 2, 3]
    assert snapshot.generation[snapshot.row_of[second]] == 1


def test_a_host_is_down_when_it_is_silent_and_up_again_with_its_report(db: Database, add_hosts: AddHosts,
                                                                       store: Store, now: Clock) -> None:
    [host_id] = add_hosts(1)
    assert store.current().up.all()
    now.offset_s += 30
    assert not store.current().up.any() and store.current().silent.all()
    change(db, host_id, last_seen_at=clock.utcnow() + dt.timedelta(seconds=30))
    now.offset_s += 3
    assert store.current().up.all()
    now.offset_s += 400
    assert not store.current().up.any() and not store.current().silent.any()


def test_new_hosts_and_gone_hosts(db: Database, add_hosts: AddHosts, store: Store, now: Clock) -> None:
    [first] = add_hosts(1)
    assert len(store.current()) == 1
    [second] = add_hosts(1, zone="south")
    now.offset_s += 1.1
    snapshot = store.current()
    assert snapshot.zone.text(snapshot.row_of[second]) == "south"
    db.write(lambda session: session.execute(sa.delete(Host).where(Host.id == first)))
    now.offset_s += 61
    assert store.current().ids == (second,)


def test_aggregates_and_operations_in_progress(db: Database, add_hosts: AddHosts, store: Store, now: Clock) -> None:
    first, second = add_hosts(2)
    store.current()
    consumer = ids.new_id()

    def work(session: Any) -> None:
        operation = Operation(kind="server.create", resource_type="server", resource_id=consumer, request_id="r")
        failed = Operation(kind="server.create", resource_type="server", resource_id=ids.new_id(), request_id="r",
                           state="failed", host="h1", finished_at=clock.utcnow())
        session.add_all([operation, failed, Aggregate(id=1, name="fast", extra={"ssd": "true"})])
        session.flush()
        session.add_all([AggregateHost(aggregate_id=1, host_id=second),
                         Lock(resource_id=consumer, resource_type="server", operation_id=operation.id, kind="x")])
        allocations.claim(session, consumer_id=consumer, host_id=first, expected_generation=0, vcpus=1, ram_mib=1,
                          disk_gib=1)

    db.write(work)
    now.offset_s += 11
    snapshot = store.current()
    assert snapshot.io_ops[snapshot.row_of[first]] == 1
    assert snapshot.build_failures[snapshot.row_named["h1"]] == 1
    assert [aggregate.rows.tolist() for aggregate in snapshot.aggregates] == [[snapshot.row_of[second]]]


def test_own_claims_count_at_once(add_hosts: AddHosts, db: Database) -> None:
    add_hosts(2)
    manager = make_manager(db, refresh_interval=60)
    hosts = [manager.choose(make_request()).host_id for _ in range(8)]
    assert all(hosts.count(host) == 4 for host in set(hosts))


def test_nobody_is_refused_on_old_knowledge(add_hosts: AddHosts, db: Database) -> None:
    add_hosts(1)
    manager = make_manager(db, refresh_interval=60)
    first = make_request(vcpus=4)
    manager.choose(first)
    with pytest.raises(errors.NoValidHost):
        manager.choose(make_request())
    db.write(lambda session: allocations.release(session, first.consumer_id))
    assert manager.choose(make_request(vcpus=4))
    add_hosts(1)
    assert manager.choose(make_request(vcpus=4))


def test_the_refusal_says_why(add_hosts: AddHosts, manager: SchedulerManager) -> None:
    with pytest.raises(errors.NoValidHost, match="no host has reported in yet"):
        manager.choose(make_request())
    add_hosts(3)
    with pytest.raises(errors.NoValidHost) as caught:
        manager.choose(make_request(vcpus=5))
    assert str(caught.value) == ("No valid host was found. There are not enough hosts available. "
                                 "(capacity removed 3 of 3)")
    assert caught.value.fields["removed"] == {"capacity": 3} and caught.value.fields["retry"] is False


@pytest.mark.parametrize(("silent_s", "retry"), [(60, True), (600, False)])
def test_retry_when_only_silence_is_in_the_way(add_hosts: AddHosts, manager: SchedulerManager, silent_s: int,
                                               retry: bool) -> None:
    add_hosts(1, last_seen_at=clock.utcnow() - dt.timedelta(seconds=silent_s))
    with pytest.raises(errors.NoValidHost) as caught:
        manager.choose(make_request())
    assert caught.value.fields == {"reason": caught.value.fields["reason"], "removed": {"service_up": 1},
                                   "retry": retry}


@pytest.mark.parametrize("overrides", [{"scheduler.filters": ["capcity"]}, {"scheduler.weighers": {"rum": "1"}},
                                       {"scheduler.filters": [], "scheduler.weighers": {"ram": "much"}}])
def test_a_misspelt_plugin_stops_the_start(overrides: dict[str, object]) -> None:
    with pytest.raises(errors.Invalid, match=r"\[scheduler\]"):
        load_selector(conf.load([], config_files=[], overrides=overrides))
