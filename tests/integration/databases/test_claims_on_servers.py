"""Claims on real database servers: sixteen claimers of two schedulers, few hosts, no over-commit, no false refusal."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from hostler import clock, errors, ids
from hostler.db.engine import Database
from hostler.db.models import Allocation, Base, Domain, Host, Project, Server, ServerGroup, ServerGroupMember, Zone
from hostler.resources.server import allocations
from tests.harness import backends, mariadb
from tests.harness.scheduler_rig import make_manager, make_request

CLAIMERS = 16


def _started(kind: str, directory: Path) -> Any:
    missing = backends.missing() if kind == "postgresql" else mariadb.missing()
    if missing:
        pytest.skip(missing)
    server = backends.Postgres() if kind == "postgresql" else mariadb.MariaDB(directory)
    server.start()
    return server


@pytest.fixture(scope="module", params=["postgresql", "mariadb"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an empty database server."""
    server = _started(request.param, tmp_path_factory.mktemp(request.param))
    yield server.url
    server.stop()


@pytest.fixture
def db(url: str) -> Iterator[Database]:
    """A database with the schema and nothing in it."""
    database = Database(url)
    Base.metadata.drop_all(database.engine)
    Base.metadata.create_all(database.engine)
    yield database
    database.dispose()


def add_hosts(db: Database, count: int, vcpus: int) -> None:
    def work(session: Any) -> None:
        zone = Zone(name="nova")
        session.add(zone)
        session.flush()
        session.add_all([Host(name=f"h{number}", number=number, zone_id=zone.id, vcpus=vcpus, ram_mib=1 << 20,
                              disk_gib=1 << 12, last_seen_at=clock.utcnow()) for number in range(count)])

    db.write(work)


def add_servers(db: Database, count: int, policy: str | None = None) -> list[str]:
    def work(session: Any) -> list[str]:
        domain = Domain(id=ids.new_id(), name="d")
        project = Project(id=ids.new_id(), name="p", domain_id=domain.id)
        servers = [Server(id=ids.new_id(), name=f"s{number}", project_id=project.id, user_id=ids.new_id(),
                          vm_state="building", flavor_id=ids.new_id(), vcpus=1, ram_mib=512, root_gib=1)
                   for number in range(count)]
        group = ServerGroup(id=ids.new_id(), name="g", project_id=project.id, user_id=ids.new_id(),
                            policy=policy or "")
        members = [ServerGroupMember(group_id=group.id, server_id=server.id) for server in servers] if policy else []
        for rows in ([domain], [project], [group, *servers], members):
            session.add_all(rows)
            session.flush()
        return [server.id for server in servers]

    return db.write(work)


def place_at_once(db: Database, consumers: list[str], **request: Any) -> list[str | None]:
    managers = [make_manager(db, refresh_interval=60) for _ in range(2)]
    barrier = threading.Barrier(CLAIMERS)

    def place(number: int) -> str | None:
        if number < CLAIMERS:
            barrier.wait()
        try:
            return str(managers[number % 2].choose(make_request(consumer_id=consumers[number], **request)).host_id)
        except errors.NoValidHost:
            return None

    with ThreadPoolExecutor(CLAIMERS) as pool:
        return list(pool.map(place, range(len(consumers))))


def used_vcpus(db: Database) -> list[int]:
    with db.reading() as session:
        return sorted(used.vcpus for used in allocations.usage_by_host(session).values())


def test_every_place_is_given_once(db: Database) -> None:
    add_hosts(db, 3, vcpus=16)
    consumers = add_servers(db, 64)
    hosts = place_at_once(db, consumers)
    assert sum(host is not None for host in hosts) == 48
    assert used_vcpus(db) == [16, 16, 16]
    release: Callable[[str], Any] = lambda consumer: db.write(  # noqa: E731
        lambda session: allocations.release(session, consumer))
    with ThreadPoolExecutor(CLAIMERS) as pool:
        list(pool.map(release, consumers))
    assert used_vcpus(db) == []


def test_one_consumer_asked_for_by_many_gets_one_host(db: Database) -> None:
    add_hosts(db, 8, vcpus=16)
    [consumer] = add_servers(db, 1)
    assert len(set(place_at_once(db, [consumer] * CLAIMERS))) == 1
    with db.reading() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Allocation)) == 1


@pytest.mark.parametrize(("policy", "placed", "hosts"), [("anti-affinity", 8, 8), ("affinity", 16, 1)])
def test_group_policies_hold_for_members_placed_at_once(db: Database, policy: str, placed: int, hosts: int) -> None:
    add_hosts(db, 8, vcpus=64)
    found = [host for host in place_at_once(db, add_servers(db, 16, policy), group_policy=policy) if host is not None]
    assert (len(found), len(set(found))) == (placed, hosts)
