"""Claims on back ends on real database servers: many claimers, few back ends, no GiB too many, none refused wrongly."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import orm

from hostler import clock, errors, ids
from hostler.db.engine import Database
from hostler.db.models import Backend, Base, Domain, Project, Snapshot, Volume, VolumeNode, Zone
from hostler.resources.volume import backend_claims
from scheduler.backend_request import BackendRequest
from tests.harness import databases
from tests.harness.scheduler_rig import make_chooser

CLAIMERS = 12


@pytest.fixture(scope="module", params=["postgresql", "mariadb"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an empty database server."""
    if missing := databases.missing(request.param):
        pytest.skip(missing)
    with databases.running(request.param, tmp_path_factory.mktemp(request.param)) as found:
        yield found


@pytest.fixture
def db(url: str) -> Iterator[Database]:
    """A database with the schema and nothing in it."""
    database = Database(url)
    Base.metadata.drop_all(database.engine)
    Base.metadata.create_all(database.engine)
    yield database
    database.dispose()


def fill(db: Database, backends: int, volumes: int) -> tuple[list[str], list[str]]:
    """Write back ends of 10 GiB and volumes of 1 GiB; returns their ids."""
    def work(session: orm.Session) -> tuple[list[str], list[str]]:
        zone, domain = Zone(id=ids.new_id(), name="nova"), Domain(id=ids.new_id(), name="d")
        session.add_all([zone, domain])
        session.flush()
        node = VolumeNode(id=ids.new_id(), name="n", zone_id=zone.id, last_seen_at=clock.utcnow())
        project = Project(id=ids.new_id(), name="p", domain_id=domain.id)
        session.add_all([node, project])
        session.flush()
        places = [Backend(id=ids.new_id(), name=f"b{number}", node_id=node.id, driver="fake", total_gib=10.0,
                          free_gib=10.0) for number in range(backends)]
        rows = [Volume(id=ids.new_id(), project_id=project.id, user_id=ids.new_id(), state="creating", size_gib=1,
                       claimed_gib=1, zone="nova") for _ in range(volumes)]
        session.add_all([*places, *rows])
        session.flush()
        return [place.id for place in places], [row.id for row in rows]

    return db.write(work)


def used(db: Database) -> dict[str, int]:
    with db.reading() as session:
        return backend_claims.used_gib(session)


def place_at_once(db: Database, lists: list[list[str]]) -> list[bool]:
    choosers = [make_chooser(db) for _ in range(2)]

    def ask(number: int) -> bool:
        for _ in range(20):
            try:
                choosers[number % 2].choose([BackendRequest(volume_id=one) for one in lists[number]])
                return True
            except errors.NoValidBackend as error:
                if not error.fields["retry"]:
                    return False
        return False

    with ThreadPoolExecutor(CLAIMERS) as pool:
        return list(pool.map(ask, range(len(lists))))


def test_back_ends_are_filled_to_the_last_gib(db: Database) -> None:
    backends, volumes = fill(db, backends=3, volumes=40)
    assert place_at_once(db, [[one] for one in volumes]).count(True) == 30
    assert used(db) == dict.fromkeys(backends, 10)


def test_lists_are_claimed_whole_or_not_at_all(db: Database) -> None:
    _, volumes = fill(db, backends=2, volumes=60)
    placed = place_at_once(db, [volumes[start:start + 5] for start in range(0, 60, 5)])
    assert placed.count(True) == 4
    assert sum(used(db).values()) == 20


def test_growth_and_claims_at_once_pass_no_limit(db: Database) -> None:
    [backend_id], volumes = fill(db, backends=1, volumes=14)
    place_at_once(db, [[volumes[0]]])

    def snapshot(_: int) -> bool:
        def work(session: orm.Session) -> bool:
            volume = session.get_one(Volume, volumes[0])
            if not backend_claims.claim(session, backend_id, gib=1):
                return False
            session.add(Snapshot(id=ids.new_id(), project_id=volume.project_id, user_id=volume.user_id,
                                 volume_id=volume.id, state="creating", size_gib=1))
            return True

        return db.write(work)

    with ThreadPoolExecutor(2) as pool:
        placing = pool.submit(place_at_once, db, [[one] for one in volumes[1:]])
        kept = list(ThreadPoolExecutor(6).map(snapshot, range(10)))
        placed = placing.result()
    assert kept.count(True) + placed.count(True) == 9
    assert used(db) == {backend_id: 10}
