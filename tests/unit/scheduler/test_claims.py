"""Claims: exact under any interleaving, idempotent, and never refused for a lost race alone."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import hypothesis
import pytest
import sqlalchemy as sa
from hypothesis import strategies

from hostler import clock, errors, ids
from hostler.db.engine import Database
from hostler.db.models import Allocation, Host, Zone
from hostler.resources.server import allocations
from hostler.resources.server.allocations import Amounts
from scheduler.manager import SchedulerManager
from tests.harness import databases
from tests.harness.scheduler_rig import make_manager, make_request

AddHosts = Callable[..., list[str]]


def usage(db: Database) -> dict[str, Amounts]:
    with db.reading() as session:
        return allocations.usage_by_host(session)


def release(db: Database, consumer_id: str) -> list[str]:
    return db.write(lambda session: allocations.release(session, consumer_id))


def claim(db: Database, host_id: str, consumer_id: str, expected: int | None, vcpus: int = 1) -> object:
    return db.write(lambda session: allocations.claim(
        session, consumer_id=consumer_id, host_id=host_id, expected_generation=expected, vcpus=vcpus, ram_mib=512,
        disk_gib=1))


def test_claim_moves_the_generation_and_release_moves_it_again(db: Database, add_hosts: AddHosts) -> None:
    [host_id] = add_hosts(1)
    consumer = ids.new_id()
    with db.reading() as session:
        before = session.execute(sa.select(Host.generation, Host.changed_at, Host.updated_at)).one()
    assert claim(db, host_id, consumer, 0)
    with db.reading() as session:
        after = session.execute(sa.select(Host.generation, Host.changed_at, Host.updated_at)).one()
    assert after.generation == 1 and after.changed_at > before.changed_at and after.updated_at == before.updated_at
    assert usage(db) == {host_id: Amounts(1, 512, 1)}
    assert release(db, consumer) == [host_id]
    assert release(db, consumer) == []
    assert usage(db) == {}
    with db.reading() as session:
        assert session.scalar(sa.select(Host.generation)) == 2


def test_a_stale_generation_is_decided_on_fresh_sums(db: Database, add_hosts: AddHosts) -> None:
    [host_id] = add_hosts(1)
    assert claim(db, host_id, ids.new_id(), 0, vcpus=3)
    assert claim(db, host_id, ids.new_id(), 0, vcpus=2) is None
    assert claim(db, host_id, ids.new_id(), 0, vcpus=1)
    assert claim(db, host_id, ids.new_id(), None, vcpus=1) is None
    assert claim(db, ids.new_id(), ids.new_id(), 0) is None
    assert usage(db)[host_id].vcpus == 4


def test_ratios_and_reserves(db: Database, add_hosts: AddHosts, manager: SchedulerManager) -> None:
    add_hosts(1, cpu_ratio=2.0, reserved_ram_mib=8192 - 1024, ram_ratio=1.0)
    manager.choose(make_request(vcpus=8, ram_mib=512))
    with pytest.raises(errors.NoValidHost, match=r"capacity removed 1 of 1"):
        manager.choose(make_request(vcpus=1, ram_mib=512))


def test_asking_twice_gives_the_same_host(db: Database, add_hosts: AddHosts, manager: SchedulerManager) -> None:
    add_hosts(3)
    request = make_request(vcpus=4)
    first = manager.choose(request)
    assert all(manager.choose(request) == first for _ in range(5))
    assert make_manager(db).choose(request) == first
    assert sum(used.vcpus for used in usage(db).values()) == 4


def test_a_full_cloud_still_knows_the_host_of_its_consumer(db: Database, add_hosts: AddHosts) -> None:
    add_hosts(1)
    request = make_request(vcpus=4)
    first = make_manager(db).choose(request)
    assert make_manager(db).choose(request) == first


@pytest.mark.parametrize("by", ["host_id", "host"])
def test_an_excluded_host_is_left_for_another(db: Database, add_hosts: AddHosts, manager: SchedulerManager,
                                              by: str) -> None:
    add_hosts(2)
    request = make_request()
    first = manager.choose(request)
    again = make_request(consumer_id=request.consumer_id, excluded_hosts=(getattr(first, by),))
    assert manager.choose(again).host_id != first.host_id


def test_two_schedulers_fill_a_cloud_to_the_last_place(db: Database, add_hosts: AddHosts) -> None:
    add_hosts(3)  # twelve vcpus
    managers = [make_manager(db, refresh_interval=60) for _ in range(2)]

    def choose(number: int) -> bool:
        try:
            managers[number % 2].choose(make_request())
        except errors.NoValidHost:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        outcomes = list(pool.map(choose, range(24)))
    assert outcomes.count(True) == 12
    assert all(used.vcpus == 4 for used in usage(db).values())


def test_anti_affinity_holds_between_members_that_are_placed_at_once(db: Database, add_hosts: AddHosts,
                                                                     make_group: Callable[..., list[str]]) -> None:
    add_hosts(4, vcpus=100)
    members = make_group("anti-affinity", 6)
    managers = [make_manager(db, refresh_interval=60) for _ in range(2)]
    barrier = threading.Barrier(6)

    def choose(number: int) -> str | None:
        barrier.wait()
        try:
            host = managers[number % 2].choose(make_request(consumer_id=members[number],
                                                            group_policy="anti-affinity"))
        except errors.NoValidHost:
            return None
        return str(host.host_id)

    with ThreadPoolExecutor(6) as pool:
        hosts = [host for host in pool.map(choose, range(6)) if host is not None]
    assert len(hosts) == 4 and len(set(hosts)) == 4


def test_affinity_follows_the_first_member(db: Database, add_hosts: AddHosts, manager: SchedulerManager,
                                           make_group: Callable[..., list[str]]) -> None:
    add_hosts(4, vcpus=100)
    hosts = {manager.choose(make_request(consumer_id=member, group_policy="affinity")).host_id
             for member in make_group("affinity", 5)}
    assert len(hosts) == 1


Sizes = strategies.lists(strategies.integers(1, 4), min_size=1, max_size=24)


@hypothesis.settings(max_examples=12, deadline=None)
@hypothesis.given(sizes=Sizes, hosts=strategies.integers(1, 3), threads=strategies.integers(2, 8),
                  refresh=strategies.sampled_from([0.05, 60.0]))
def test_no_interleaving_over_commits_and_what_is_released_is_free(sizes: list[int], hosts: int, threads: int,
                                                                   refresh: float) -> None:
    with tempfile.TemporaryDirectory() as directory:
        db = databases.opened(f"sqlite:///{Path(directory) / 'cloud.db'}")
        _fill(db, hosts)
        managers = [make_manager(db, refresh_interval=refresh) for _ in range(2)]

        def place(item: tuple[int, int]) -> str | None:
            number, vcpus = item
            request = make_request(vcpus=vcpus)
            try:
                managers[number % 2].choose(request)
            except errors.NoValidHost:
                return None
            if number % 3 == 0:
                release(db, request.consumer_id)
                return None
            return request.consumer_id

        with ThreadPoolExecutor(threads) as pool:
            placed = [consumer for consumer in pool.map(place, enumerate(sizes)) if consumer is not None]
        assert all(used.vcpus <= 8 for used in usage(db).values())
        with db.reading() as session:
            assert set(session.scalars(sa.select(Allocation.consumer_id))) == set(placed)
        for consumer in placed:
            release(db, consumer)
        assert usage(db) == {}
        assert managers[0].choose(make_request(vcpus=8))
        db.dispose()


def _fill(db: Database, hosts: int) -> None:
    zone_id = ids.new_id()
    with db.engine.begin() as connection:
        connection.execute(sa.insert(Zone), {"id": zone_id, "name": "nova"})
        connection.execute(sa.insert(Host), [
            {"id": ids.new_id(), "name": f"h{number}", "number": number, "zone_id": zone_id, "vcpus": 8,
             "ram_mib": 65536, "disk_gib": 1000, "last_seen_at": clock.utcnow()} for number in range(hosts)])
