"""Claims on back ends: exact under any number of claimers, all or nothing for several, harmless to repeat."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import orm

from hostler import clock, errors, ids
from hostler.db.engine import Database
from hostler.db.models import Backend, Domain, Project, Snapshot, Volume, VolumeNode, Zone
from hostler.resources.volume import backend_claims
from scheduler.backend_request import BackendChoice, BackendRequest
from scheduler.backend_uses import MAX_AGE_S, BackendUses
from tests.harness.scheduler_rig import make_chooser

AddVolume = Callable[..., str]


@pytest.fixture
def add_backend(db: Database) -> Callable[..., str]:
    """A function that adds a back end (on a node of its own) and returns its id."""

    def add(name: str, *, zone: str = "nova", seen_s_ago: float = 0, node: dict[str, Any] | None = None,
            **values: Any) -> str:
        def work(session: orm.Session) -> str:
            zone_id = session.scalar(sa.select(Zone.id).where(Zone.name == zone))
            if zone_id is None:
                session.add(Zone(id=(zone_id := ids.new_id()), name=zone))
                session.flush()
            seen = clock.utcnow() - dt.timedelta(seconds=seen_s_ago)
            row = VolumeNode(id=ids.new_id(), name=f"node-{name}", zone_id=zone_id, last_seen_at=seen, **(node or {}))
            session.add(row)
            session.flush()
            backend = Backend(id=ids.new_id(), name=name, node_id=row.id, driver="fake",
                              **{"total_gib": 10.0, "free_gib": 10.0, **values})
            session.add(backend)
            session.flush()
            return backend.id

        return db.write(work)

    return add


@pytest.fixture
def add_volume(db: Database) -> AddVolume:
    """A function that adds a volume of 1 GiB on no back end and returns its id."""
    project_id = ids.new_id()

    def seed(session: orm.Session) -> None:
        session.add(Domain(id="default", name="d"))
        session.flush()
        session.add(Project(id=project_id, name="p", domain_id="default"))

    db.write(seed)

    def add(size_gib: int = 1, **values: Any) -> str:
        def work(session: orm.Session) -> str:
            volume = Volume(id=ids.new_id(), project_id=project_id, user_id=ids.new_id(), state="creating",
                            size_gib=size_gib, **{"claimed_gib": size_gib, "zone": "nova", **values})
            session.add(volume)
            session.flush()
            return volume.id

        return db.write(work)

    return add


AddBackend = Callable[..., str]


def used(db: Database) -> dict[str, int]:
    with db.reading() as session:
        return backend_claims.used_gib(session)


def choose(db: Database, *volume_ids: str, **values: Any) -> list[BackendChoice]:
    return make_chooser(db).choose([BackendRequest(volume_id=volume_id, **values) for volume_id in volume_ids])


def backend_of(db: Database, volume_id: str) -> str | None:
    with db.reading() as session:
        return session.scalar(sa.select(Volume.backend_id).where(Volume.id == volume_id))


def test_the_choice_is_described_and_the_record_names_it(db: Database, add_backend: AddBackend,
                                                         add_volume: AddVolume) -> None:
    backend_id, volume_id = add_backend("b"), add_volume()
    assert choose(db, volume_id) == [BackendChoice(backend_id=backend_id, node="node-b", backend="b", zone="nova")]
    assert backend_of(db, volume_id) == backend_id
    assert used(db) == {backend_id: 1}
    with db.reading() as session:
        assert session.scalar(sa.select(Backend.generation)) == 1


def test_asking_twice_gives_the_same_and_claims_once(db: Database, add_backend: AddBackend,
                                                     add_volume: AddVolume) -> None:
    for name in "abc":
        add_backend(name)
    volume_id = add_volume(10)
    first = choose(db, volume_id)
    assert all(choose(db, volume_id) == first for _ in range(5))
    assert sum(used(db).values()) == 10
    with pytest.raises(errors.NoValidBackend):
        choose(db, volume_id, excluded_backends=tuple(used(db)), backend_id=next(iter(used(db))))


def test_what_is_moving_and_what_snapshots_take_counts(db: Database, add_backend: AddBackend,
                                                       add_volume: AddVolume) -> None:
    one, other = add_backend("a"), add_backend("b")
    volume_id = add_volume(3, backend_id=one, target_backend_id=other)
    db.write(lambda session: session.add(Snapshot(id=ids.new_id(), project_id=ids_of(session), user_id=ids.new_id(),
                                                  volume_id=volume_id, state="available", size_gib=3)))
    assert used(db) == {one: 6, other: 3}
    with pytest.raises(errors.NoValidBackend, match=r"^No valid backend was found. \(capacity removed 2 of 2\)$"):
        choose(db, add_volume(8))


def ids_of(session: orm.Session) -> str:
    return str(session.scalar(sa.select(Project.id)))


def test_the_size_is_the_records_not_the_callers(db: Database, add_backend: AddBackend, add_volume: AddVolume) -> None:
    add_backend("a")
    with pytest.raises(errors.NoValidBackend):
        choose(db, add_volume(11), size_gib=1)


def test_a_list_is_claimed_as_a_whole_or_not_at_all(db: Database, add_backend: AddBackend,
                                                    add_volume: AddVolume) -> None:
    add_backend("a")
    add_backend("b")
    volumes = [add_volume(6), add_volume(6)]
    assert len({choice.backend_id for choice in choose(db, *volumes)}) == 2
    more = [add_volume(4), add_volume(4), add_volume(1)]
    with pytest.raises(errors.NoValidBackend):
        choose(db, *more)
    assert [backend_of(db, volume_id) for volume_id in more] == [None] * 3
    assert len(choose(db, *more[:2])) == 2
    assert sorted(used(db).values()) == [10, 10]


def test_a_node_out_of_service_or_silent_takes_nothing_and_only_the_silent_is_waited_for(
        db: Database, add_backend: AddBackend, add_volume: AddVolume) -> None:
    volume_id = add_volume()
    with pytest.raises(errors.NoValidBackend, match="no storage node has reported in yet"):
        choose(db, volume_id)
    add_backend("disabled", node={"enabled": False})
    add_backend("ill", healthy=False)
    with pytest.raises(errors.NoValidBackend) as refused:
        choose(db, volume_id)
    assert refused.value.fields == {"reason": "(service_up removed 2 of 2)", "removed": {"service_up": 2},
                                    "retry": False}
    add_backend("silent", seen_s_ago=60)
    with pytest.raises(errors.NoValidBackend) as refused:
        choose(db, volume_id)
    assert refused.value.fields["retry"] is True


def test_hints_name_volumes(db: Database, add_backend: AddBackend, add_volume: AddVolume) -> None:
    here = add_backend("here", free_gib=5.0)
    there = add_backend("there")
    neighbour = add_volume(backend_id=here)
    assert choose(db, add_volume(), hints={"same_host": neighbour})[0].backend_id == here
    assert choose(db, add_volume(), hints={"different_host": [neighbour]})[0].backend_id == there


def test_a_volume_that_is_gone_has_no_place(db: Database, add_backend: AddBackend, add_volume: AddVolume) -> None:
    add_backend("a")
    with pytest.raises(errors.NotFound):
        choose(db, ids.new_id())
    with pytest.raises(errors.NotFound):
        choose(db, add_volume(deleted_at=clock.utcnow()))


def test_many_schedulers_fill_every_back_end_to_the_last_gib(db: Database, add_backend: AddBackend,
                                                             add_volume: AddVolume) -> None:
    backends = {add_backend(name) for name in "abc"}  # thirty GiB
    volumes = [add_volume() for _ in range(40)]
    choosers = [make_chooser(db) for _ in range(4)]

    def ask(number: int) -> bool:
        for _ in range(10):
            try:
                choosers[number % 4].choose([BackendRequest(volume_id=volumes[number])])
                return True
            except errors.NoValidBackend as error:
                if not error.fields["retry"]:
                    return False
        return False

    with ThreadPoolExecutor(8) as pool:
        placed = list(pool.map(ask, range(40)))
    assert placed.count(True) == 30
    assert used(db) == dict.fromkeys(backends, 10)


def test_many_lists_never_claim_in_part(db: Database, add_backend: AddBackend, add_volume: AddVolume) -> None:
    add_backend("a")
    add_backend("b")
    servers = [[add_volume(2), add_volume(3)] for _ in range(8)]  # forty GiB for twenty

    def ask(volumes: list[str]) -> bool:
        try:
            choose(db, *volumes)
        except errors.NoValidBackend:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        placed = list(pool.map(ask, servers))
    assert 3 <= placed.count(True) <= 4
    for volumes, done in zip(servers, placed, strict=True):
        assert [backend_of(db, volume_id) is not None for volume_id in volumes] == [done, done]
    assert all(gib <= 10 for gib in used(db).values())


def test_the_same_volume_asked_for_at_once_is_claimed_once(db: Database, add_backend: AddBackend,
                                                           add_volume: AddVolume) -> None:
    for name in "abc":
        add_backend(name)
    volume_id = add_volume(4)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: choose(db, volume_id)[0].backend_id, range(16)))
    assert len(set(found)) == 1
    assert used(db) == {found[0]: 4}


def test_a_moving_volume_claims_a_second_place_and_may_stay_without_one(db: Database, add_backend: AddBackend,
                                                                        add_volume: AddVolume) -> None:
    here = add_backend("a", capabilities={"storage_id": "1", "kind": "old"})
    there = add_backend("b", capabilities={"storage_id": "2", "kind": "new"})
    volume_id = add_volume(5, backend_id=here)
    stays = choose(db, volume_id, moving=True, may_stay=True, extra_specs={"kind": "old"})
    assert (stays[0].backend_id, used(db)) == (here, {here: 5})
    moves = choose(db, volume_id, moving=True, may_stay=True, extra_specs={"kind": "new"})
    assert (moves[0].backend_id, used(db)) == (there, {here: 5, there: 5})
    assert backend_of(db, volume_id) == here
    assert choose(db, volume_id, moving=True, extra_specs={"kind": "new"}) == moves


def test_growth_is_claimed_by_whoever_accepts_it(db: Database, add_backend: AddBackend, add_volume: AddVolume) -> None:
    backend_id = add_backend("a")
    add_volume(6, backend_id=backend_id)
    assert db.write(lambda session: backend_claims.claim(session, backend_id, gib=4))
    assert not db.write(lambda session: backend_claims.claim(session, backend_id, gib=5))
    assert not db.write(lambda session: backend_claims.claim(session, ids.new_id(), gib=1))


def test_remembered_sums_hold_while_the_generation_stands_and_are_made_anew_when_it_moves(
        db: Database, add_backend: AddBackend, add_volume: AddVolume) -> None:
    backend_id, moments = add_backend("a"), [0.0]
    uses = BackendUses(lambda: moments[0])

    def look(generation: int, **options: bool) -> int:
        with db.reading() as session:
            return uses.look(session, {backend_id: generation}, **{"afresh": False, **options})[backend_id]

    assert look(0) == 0
    add_volume(4, backend_id=backend_id)
    assert look(0) == 0  # nobody said that anything changed
    assert look(1) == 4
    uses.note_claim(backend_id, 2, 3)
    uses.note_claim(backend_id, 9, 3)  # of another generation than the next
    assert look(2) == 7
    assert look(2, afresh=True) == 4
    add_volume(1, backend_id=backend_id)
    moments[0] = MAX_AGE_S + 1
    assert look(2) == 5


def test_nobody_is_refused_on_what_is_remembered(db: Database, add_backend: AddBackend, add_volume: AddVolume) -> None:
    backend_id = add_backend("a")
    large, chooser = add_volume(9, backend_id=backend_id), make_chooser(db)
    with pytest.raises(errors.NoValidBackend):
        chooser.choose([BackendRequest(volume_id=add_volume(5))])
    db.write(lambda session: session.execute(sa.update(Volume).where(Volume.id == large).values(backend_id=None)))
    assert chooser.choose([BackendRequest(volume_id=add_volume(5))])[0].backend_id == backend_id
