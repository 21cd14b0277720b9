"""The flow volume_create_api: its tasks in order, and for each what is taken back when it, or a later one, fails."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import exc, orm
from taskflow.patterns import linear_flow

from api.core.volume import create as volume_create
from api.core.volume import create_flow as volume_create_flow
from api.core.volume.create import NewVolume, Reservation
from hostler import errors
from hostler.db.models import Lock, Operation, QuotaLimit, Volume
from hostler.resources import quota
from tests.harness.volume_core import DEMO, Cloud, context_of

pytestmark = pytest.mark.contract("V-FLOW")
TASKS = ("ExtractVolumeRequestTask", "QuotaReserveTask", "EntryCreateTask", "QuotaCommitTask", "VolumeCastTask")


class Boom(Exception):
    """What a task fails with here."""


def _used(cloud: Cloud) -> dict[str, int]:
    with cloud.services.db.reading() as session:
        return quota.usage(session, DEMO, ("volumes", "gigabytes"))


def _run(cloud: Cloud, **new: Any) -> Any:
    return volume_create_flow.create_volume(cloud.services, context_of(), NewVolume(**{"size_gib": 1, **new}))


def _run_keeping(cloud: Cloud, watched: list[Any]) -> None:
    """Run the flow in a transaction that is committed whatever happens: what is left is what reverts left."""
    def work(session: orm.Session) -> None:
        try:
            volume_create_flow.run_flow(cloud.services, session, context_of(), NewVolume(size_gib=1))
        except Boom as error:
            watched.append(error)

    cloud.services.db.write(work)


def _fail_in(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def execute(_self: Any, **_arguments: Any) -> None:
        raise Boom(name)

    monkeypatch.setattr(getattr(volume_create_flow, name), "execute", execute)


def _nothing_is_left(cloud: Cloud) -> None:
    assert [cloud.count(model) for model in (Volume, Operation, Lock)] == [0, 0, 0]
    assert _used(cloud) == {"volumes": 0, "gigabytes": 0}
    assert cloud.waker.woken == []


def test_the_flow_is_linear_and_in_the_published_order() -> None:
    flow = volume_create_flow.make_flow()
    assert isinstance(flow, linear_flow.Flow) and flow.name == "volume_create_api"
    assert tuple(node.name.rpartition(".")[2] for node, _ in flow.iter_nodes()) == TASKS
    assert flow.requires == {"services", "session", "context", "new"}
    assert flow.provides == {"request", "reservation", "volume", "operation_id"}


def test_it_ends_with_row_operation_lock_and_a_wake_up(cloud: Cloud) -> None:
    row = _run(cloud, name="one")
    [operation] = cloud.operations(row.id)
    assert (operation.kind, operation.arguments, operation.state) == ("volume.create", {"source": None}, "pending")
    assert cloud.waker.woken == [operation.id]
    assert (row.status, row.lock_kind, row.claimed_gib) == ("creating", "volume.create", 1)
    assert _used(cloud) == {"volumes": 1, "gigabytes": 1}


@pytest.mark.parametrize("name", TASKS)
def test_when_a_task_fails_what_was_done_before_is_taken_back(cloud: Cloud, monkeypatch: pytest.MonkeyPatch,
                                                               name: str) -> None:
    """The transaction is committed here, so that only the reverts can have removed what was written."""
    _fail_in(monkeypatch, name)
    caught: list[Any] = []
    _run_keeping(cloud, caught)
    assert [str(error) for error in caught] == [name]
    _nothing_is_left(cloud)


@pytest.mark.parametrize("name", TASKS)
def test_when_a_task_fails_the_caller_sees_its_error_and_nothing_is_written(
        cloud: Cloud, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    _fail_in(monkeypatch, name)
    with pytest.raises(Boom, match=name):
        _run(cloud)
    _nothing_is_left(cloud)


def test_extract_fails_first_and_writes_nothing(cloud: Cloud) -> None:
    with pytest.raises(errors.Invalid, match="must be an integer and greater than 0"):
        _run(cloud, size_gib=0)
    _nothing_is_left(cloud)


def test_quota_is_returned_when_the_entry_cannot_be_written(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    reservations: list[Reservation] = []
    reserve = volume_create.reserve

    def watched(*arguments: Any) -> Reservation:
        reservations.append(reserve(*arguments))
        return reservations[-1]

    monkeypatch.setattr(volume_create, "reserve", watched)
    _fail_in(monkeypatch, "EntryCreateTask")
    with pytest.raises(Boom):
        _run(cloud)
    assert [reservation.returned for reservation in reservations] == [True]
    assert _used(cloud) == {"volumes": 0, "gigabytes": 0}


def test_quota_that_is_not_there_fails_with_the_numbers(cloud: Cloud) -> None:
    cloud.add(QuotaLimit(project_id=DEMO, resource="gigabytes", hard_limit=5))
    _run(cloud, size_gib=4)
    with pytest.raises(errors.VolumeSizeExceedsQuota, match=r"Requested 2G, quota is 5G and 4G has been consumed"):
        _run(cloud, size_gib=2)
    assert cloud.count(Volume) == 1


def test_the_commit_refuses_a_row_that_is_not_what_was_reserved(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    enter = volume_create.enter

    def larger(*arguments: Any) -> Volume:
        volume = enter(*arguments)
        volume.claimed_gib = 7
        return volume

    monkeypatch.setattr(volume_create, "enter", larger)
    with pytest.raises(errors.Internal, match="'gigabytes': 1"):
        _run(cloud)
    _nothing_is_left(cloud)


def test_the_commit_is_unsettled_when_the_cast_fails(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    settled: list[Reservation] = []
    settle = volume_create.settle

    def watched(reservation: Reservation, *arguments: Any) -> None:
        settle(reservation, *arguments)
        assert reservation.settled
        settled.append(reservation)

    monkeypatch.setattr(volume_create, "settle", watched)
    _fail_in(monkeypatch, "VolumeCastTask")
    with pytest.raises(Boom):
        _run(cloud)
    assert [(reservation.settled, reservation.returned) for reservation in settled] == [(False, True)]


def test_a_cast_that_was_written_is_removed_with_its_lock(cloud: Cloud) -> None:
    """No task follows the cast, so its revert is called as the engine would call it."""
    def work(session: orm.Session) -> None:
        volume_id, operation_id = volume_create_flow.run_flow(cloud.services, session, context_of(),
                                                              NewVolume(size_gib=1))
        cast = volume_create_flow.VolumeCastTask()
        for _ in range(2):  # reverting twice is fine
            cast.revert(operation_id, session)
        assert session.get(Volume, volume_id) is not None

    cloud.services.db.write(work)
    assert (cloud.count(Operation), cloud.count(Lock)) == (0, 0)


def test_a_deadlock_comes_out_as_it_is_and_the_transaction_is_run_again(cloud: Cloud,
                                                                        monkeypatch: pytest.MonkeyPatch) -> None:
    tries = []
    enter = volume_create.enter

    def at_first_deadlocked(*arguments: Any) -> Volume:
        volume = enter(*arguments)
        tries.append(volume.id)
        if len(tries) == 1:
            raise exc.OperationalError("INSERT", {}, sa.exc.DBAPIError("database is locked", None, Exception()))
        return volume

    monkeypatch.setattr(volume_create, "enter", at_first_deadlocked)
    row = _run(cloud)
    assert tries == [tries[0], row.id] and len(tries) == 2
    assert cloud.count(Volume) == 1 and cloud.waker.woken == [cloud.operations(row.id)[0].id]


def test_a_failed_revert_does_not_hide_the_cause(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    def revert(_self: Any, **_arguments: Any) -> None:
        raise ValueError("in the revert")

    monkeypatch.setattr(volume_create_flow.EntryCreateTask, "revert", revert)
    _fail_in(monkeypatch, "VolumeCastTask")
    with pytest.raises(Boom, match="VolumeCastTask"):
        _run(cloud)
    _nothing_is_left(cloud)


def test_reverts_leave_a_void_transaction_alone(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a statement that the database refused, when the flow reverts, then the cause comes out as it is."""
    def execute(_self: Any, session: orm.Session, volume: Volume, **_arguments: Any) -> None:
        session.add(Volume(id=volume.id, project_id=DEMO, user_id="x", state="x", size_gib=1, claimed_gib=1, zone="x"))
        session.flush()

    monkeypatch.setattr(volume_create_flow.VolumeCastTask, "execute", execute)
    with pytest.raises(exc.IntegrityError):
        _run(cloud)
    _nothing_is_left(cloud)
