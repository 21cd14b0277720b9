"""The record of a server's way, and the claims and the quota it holds."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import sqlalchemy as sa
from sqlalchemy import orm

from hostler.context import RequestContext
from hostler.db.engine import Database
from hostler.db.models import Allocation, Migration, Server
from hostler.resources import quota
from hostler.resources.server import allocations, migrations
from scheduler.groups import members_hosts
from tests.harness.scheduler_rig import add_hosts, db, make_group

__all__ = ["add_hosts", "db", "make_group"]
LARGE = {"flavor_id": "f2", "flavor": {}, "vcpus": 3, "ram_mib": 256, "root_gib": 8, "ephemeral_gib": 0, "swap_mib": 0}


@pytest.fixture
def hosts(add_hosts: Callable[..., list[str]]) -> list[str]:
    return add_hosts(2)


@pytest.fixture
def servers(db: Database, hosts: list[str], make_group: Callable[[str, int], list[str]]) -> list[str]:
    """Two members of a group; the first is on the first host."""
    members = make_group("anti-affinity", 2)

    def work(session: orm.Session) -> None:
        session.get_one(Server, members[0]).host_id = hosts[0]
        session.add(Allocation(consumer_id=members[0], host_id=hosts[0], vcpus=1, ram_mib=512, disk_gib=1))

    db.write(work)
    return members


def _begin(db: Database, server_id: str) -> str:
    def work(session: orm.Session) -> str:
        row = migrations.begin(session, RequestContext.system(), session.get_one(Server, server_id), "op",
                               migrations.RESIZE, status=migrations.PRE_MIGRATING, new_flavor=LARGE)
        session.flush()
        return row.id

    return db.write(work)


def _claims(db: Database) -> set[tuple[str, str]]:
    with db.reading() as session:
        return set(session.execute(sa.select(Allocation.consumer_id, Allocation.host_id)).tuples())


@pytest.mark.parametrize("target", [0, 1])
def test_a_moving_server_holds_two_claims_until_one_is_released(
        db: Database, hosts: list[str], servers: list[str], target: int) -> None:
    server_id = servers[0]
    migration_id = _begin(db, server_id)

    def act(do: Callable[[orm.Session, Migration], None]) -> None:
        for _ in range(2):
            db.write(lambda session: do(session, session.scalars(sa.select(Migration)).one()))

    act(migrations.set_claim_aside)
    assert _claims(db) == {(migration_id, hosts[0])}
    db.write(lambda session: allocations.claim(session, consumer_id=server_id, host_id=hosts[target],
                                               expected_generation=None, vcpus=3, ram_mib=256, disk_gib=8))
    assert _claims(db) == {(migration_id, hosts[0]), (server_id, hosts[target])}
    with db.reading() as session:
        assert sorted(members_hosts(session, _group(session), servers[1])) == sorted({hosts[0], hosts[target]})
    act(migrations.take_claim_back)
    assert _claims(db) == {(server_id, hosts[0])}
    act(migrations.set_claim_aside)
    act(lambda session, migration: migrations.release_claim(session, migration.id))
    assert _claims(db) == set()


def _group(session: orm.Session) -> str:
    found = session.scalar(sa.text("SELECT id FROM server_groups"))
    return str(found)


def test_quota_counts_the_larger_of_both_flavors_until_the_migration_ends(db: Database, servers: list[str]) -> None:
    def used() -> dict[str, int]:
        with db.reading() as session:
            project_id = session.get_one(Server, servers[0]).project_id
            return quota.usage(session, project_id, quota.SERVER_RESOURCES)

    assert used() == {"instances": 2, "cores": 2, "ram": 1024}
    migration_id = _begin(db, servers[0])
    assert used() == {"instances": 2, "cores": 4, "ram": 1024}
    for status in (migrations.MIGRATING, migrations.POST_MIGRATING, migrations.FINISHED, migrations.REVERTING):
        assert db.write(lambda session, to=status: migrations.move(session, migration_id, to))
        assert used()["cores"] == 4
    assert db.write(lambda session: migrations.move(session, migration_id, migrations.REVERTED))
    assert used() == {"instances": 2, "cores": 2, "ram": 1024}
    assert not db.write(lambda session: migrations.move(session, migration_id, migrations.ERROR))


def test_a_deleted_server_leaves_no_claim_and_no_open_migration(db: Database, servers: list[str]) -> None:
    _begin(db, servers[0])
    db.write(lambda session: migrations.set_claim_aside(session, session.scalars(sa.select(Migration)).one()))
    db.write(lambda session: migrations.end_open(session, servers[0], migrations.CONFIRMED))
    with db.reading() as session:
        row = session.scalars(sa.select(Migration)).one()
        assert row.status == migrations.CANCELLED and row.ended_at is not None
        assert migrations.open_of(session, servers[0]) is None
    assert _claims(db) == set()
