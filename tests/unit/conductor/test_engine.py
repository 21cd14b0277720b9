"""Operations run to their end, are resumed where they were, reverted, handed over, cancelled."""

from __future__ import annotations

import threading
from concurrent import futures

import pytest
import sqlalchemy as sa

from conductor.run import HandOver
from conductor.tasks.records.servers import AssignHost
from hostler import errors
from hostler.context import RequestContext
from hostler.db.models import Allocation, Lock, Operation, OperationStep, Server
from hostler.operations import lease, states
from hostler.operations.accept import Target, accept, accept_behind
from hostler.operations.kinds import server as kinds
from hostler.operations.kinds.arguments import Arguments
from hostler.resources.server.specs import ServerSpec
from tests.harness.conductor_rig import Rig


class Killed(BaseException):
    """Stands for kill -9: passes through everything."""


def test_a_boot_ends_with_server_locks_and_operation_in_one_state(rig: Rig) -> None:
    server_id, operation_id = rig.accept("server.create", admin_password="hunter2")
    assert rig.run(operation_id) is None
    operation = rig.one(Operation, operation_id)
    assert (operation.state, operation.progress) == (states.SUCCEEDED, 100)
    assert "admin_password" not in operation.arguments
    server = rig.one(Server, server_id)
    assert (server.vm_state, server.power_state, server.host_id) == ("active", "running", rig.host_id)
    assert rig.count(Allocation) == 1
    rig.assert_at_rest()


@pytest.mark.parametrize("call", ["select_host", "spawn_server"])
def test_a_killed_boot_is_resumed_at_the_task_that_ran(rig: Rig, call: str) -> None:
    server_id, operation_id = rig.accept("server.create")
    rig.host.fail[call] = [Killed()]
    with pytest.raises(Killed):
        rig.run(operation_id)
    assert lease.claim(rig.db, operation_id, "other", 30) is None  # the lease still holds
    rig.expire(operation_id)
    rig.host.calls.clear()
    held = rig.claim(operation_id)
    assert (held.attempt, held.crashes) == (2, 1)
    assert rig.runner.run(held) is None
    assert rig.one(Server, server_id).vm_state == "active"
    assert rig.host.calls == (["select_host", "spawn_server"] if call == "select_host" else ["spawn_server"])
    rig.assert_at_rest()


def test_a_boot_killed_once_its_host_is_written_gets_the_same_host(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def assign_and_die(task: AssignHost, choice: dict[str, str]) -> None:
        assign(task, choice)
        raise Killed

    assign = AssignHost.execute
    server_id, operation_id = rig.accept("server.create")
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(AssignHost, "execute", assign_and_die)
        rig.run(operation_id)
    assert rig.one(Server, server_id).host_id == rig.host_id
    rig.expire(operation_id)
    assert rig.run(operation_id) is None
    assert rig.host.calls == ["select_host", "select_host", "spawn_server"]
    assert (rig.one(Server, server_id).vm_state, rig.count(Allocation)) == ("active", 1)
    rig.assert_at_rest()


def test_runs_of_a_kind_share_its_flow_and_nothing_of_each_other(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    both = threading.Barrier(2, timeout=30)
    asked: dict[str, str] = {}

    def spawn_server(context: RequestContext, _host: str, spec: ServerSpec, _groups: object) -> dict[str, str]:
        both.wait()
        asked[str(context.operation_id)] = spec.id
        return {"power_state": "running"}

    monkeypatch.setattr(rig.host, "spawn_server", spawn_server)
    servers = dict(rig.accept("server.create")[::-1] for _ in range(2))
    with futures.ThreadPoolExecutor(2) as pool:
        assert list(pool.map(rig.run, servers)) == [None, None]
    assert asked == servers
    assert {rig.one(Server, server_id).vm_state for server_id in servers.values()} == {"active"}


def test_a_conductor_that_lost_its_lease_writes_nothing(rig: Rig) -> None:
    server_id, operation_id = rig.accept("server.create")
    slow = rig.claim(operation_id)
    rig.expire(operation_id)
    assert rig.run(operation_id) is None
    rig.host.calls.clear()
    assert rig.runner.run(slow) is None
    assert rig.host.calls == []
    assert rig.one(Server, server_id).vm_state == "active"
    assert rig.one(Operation, operation_id).state == states.SUCCEEDED


def test_a_failed_build_is_reverted_and_says_why(rig: Rig) -> None:
    server_id, operation_id = rig.accept("server.create")
    rig.host.fail["spawn_server"] = [errors.AgentError(reason="The disk is full.")]
    assert rig.run(operation_id) is None
    server = rig.one(Server, server_id)
    assert (server.vm_state, server.host_id) == ("error", None)
    assert "The disk is full." in server.fault["message"]
    assert rig.host.calls == ["select_host", "spawn_server", "destroy_server", "select_host"]
    assert rig.count(Allocation) == 0
    assert rig.one(Operation, operation_id).state == states.FAILED
    rig.assert_at_rest()


def test_no_valid_host_is_the_fault(rig: Rig) -> None:
    server_id, operation_id = rig.accept("server.create")
    rig.host.fail["select_host"] = [errors.NoValidHost(reason="capacity removed 1 of 1", removed={"capacity": 1})]
    rig.run(operation_id)
    assert "capacity removed 1 of 1" in rig.one(Server, server_id).fault["message"]
    rig.assert_at_rest()


def test_a_silent_host_hands_the_operation_over_and_never_shows_an_error(rig: Rig) -> None:
    rig.conf.set_override("agent_patience", 60, "conductor")
    server_id, operation_id = rig.accept("server.create")
    rig.host.fail["spawn_server"] = [errors.Silent(part="The compute service on host1")] * 2
    for _ in range(2):
        stop = rig.run(operation_id)
        assert isinstance(stop, HandOver)
        assert rig.one(Server, server_id).vm_state == "building"
        operation = rig.one(Operation, operation_id)
        assert (operation.state, operation.host, operation.waiting_for) == (states.PENDING, "host1", "host1")
        rig.slots.leave(operation_id)
        threading.Event().wait(0.06)
    assert rig.run(operation_id) is None
    assert rig.one(Server, server_id).vm_state == "active"
    assert rig.one(Operation, operation_id).crashes == 0


def test_a_host_silent_past_patience_fails_the_boot(rig: Rig) -> None:
    server_id, operation_id = rig.accept("server.create")
    rig.host.fail["spawn_server"] = [errors.Silent(part="The compute service on host1")] * 2
    rig.host.fail["destroy_server"] = [errors.Silent(part="The compute service on host1")]
    rig.run(operation_id)
    threading.Event().wait(1.1)
    assert rig.run(operation_id) is None
    server = rig.one(Server, server_id)
    assert server.vm_state == "error"
    assert server.fault["message"] == "The host does not answer."
    assert "host1" in server.fault["details"]
    assert rig.count(Allocation) == 0
    rig.assert_at_rest()


def test_a_broker_that_is_away_is_waited_for_without_limit(rig: Rig) -> None:
    server_id, operation_id = rig.accept("server.create")
    rig.host.fail["spawn_server"] = [errors.BrokerSilent()] * 2
    rig.run(operation_id)
    threading.Event().wait(1.1)
    assert isinstance(rig.run(operation_id), HandOver)
    threading.Event().wait(0.06)
    rig.run(operation_id)
    assert rig.one(Server, server_id).vm_state == "active"


def test_a_full_host_hands_over_without_waiting_in_a_worker(rig: Rig) -> None:
    _, operation_id = rig.accept("server.create")
    rig.slots.enter("a", "host1")
    rig.slots.enter("b", "host1")
    stop = rig.run(operation_id)
    assert isinstance(stop, HandOver)
    assert (stop.host, stop.waiting_for) == ("host1", None)
    assert "spawn_server" not in rig.host.calls
    rig.slots.leave("a")
    assert rig.run(operation_id) is None


def test_an_operation_that_always_crashes_is_reverted_and_ends(rig: Rig) -> None:
    server_id, operation_id = rig.accept("server.create")
    for _ in range(rig.conf.conductor.max_attempts + lease.ALONE_LIMIT):
        rig.host.fail["spawn_server"] = [Killed()]
        with pytest.raises(Killed):
            rig.run(operation_id)
        rig.expire(operation_id)
    rig.host.fail.clear()
    rig.host.calls.clear()
    assert rig.run(operation_id) is None
    assert "spawn_server" not in rig.host.calls
    assert rig.one(Server, server_id).vm_state == "error"
    assert rig.one(Operation, operation_id).state == states.FAILED
    assert rig.count(Allocation) == 0
    rig.assert_at_rest()


def test_a_delete_waits_for_the_boot_it_interrupts(rig: Rig) -> None:
    server_id, create_id = rig.accept("server.create")
    with rig.db.reading() as session:
        assert session.get(Lock, server_id) is not None
    delete_id = rig.db.write(lambda session: accept_behind(
        session, rig.context, kinds.DELETE, Target("server", server_id), Arguments()).id)
    assert lease.claim(rig.db, delete_id, "tester", 30) is None
    assert rig.run(create_id) is None
    assert rig.one(Operation, create_id).state == states.FAILED
    assert rig.one(Server, server_id).vm_state == "building"  # no false error on the way
    threading.Event().wait(0.35)
    assert rig.run(delete_id) is None
    assert rig.one(Server, server_id).deleted_at is not None
    rig.assert_at_rest()


def test_a_second_change_is_refused_while_the_first_runs(rig: Rig) -> None:
    server_id, _ = rig.accept("server.create")
    with pytest.raises(errors.ResourceLocked) as caught:
        rig.db.write(lambda session: accept(session, rig.context, kinds.STOP, Target("server", server_id),
                                            Arguments()))
    assert caught.value.fields["locked"] == [{"id": server_id, "type": "server"}]


def test_a_stopping_conductor_hands_over_between_tasks(rig: Rig) -> None:
    server_id, operation_id = rig.accept("server.create")
    rig.stopping = True
    assert isinstance(rig.run(operation_id), HandOver)
    rig.stopping = False
    assert rig.run(operation_id) is None
    assert rig.one(Server, server_id).vm_state == "active"


def test_an_unknown_kind_ends_as_failed(rig: Rig) -> None:
    _, operation_id = rig.accept("server.create")
    rig.db.write(lambda session: session.execute(
        sa.update(Operation).where(Operation.id == operation_id).values(kind="server.dance")))
    rig.run(operation_id)
    operation = rig.one(Operation, operation_id)
    assert operation.state == states.FAILED
    assert "server.dance" in operation.message
    rig.assert_at_rest()


def test_steps_are_readable_while_the_flow_runs(rig: Rig) -> None:
    _, operation_id = rig.accept("server.create")
    rig.host.fail["spawn_server"] = [Killed()]
    with pytest.raises(Killed):
        rig.run(operation_id)
    with rig.db.reading() as session:
        steps = {step.name: step for step in session.query(OperationStep)}
    assert steps["SelectHost"].state == "SUCCESS"
    assert steps["SpawnServer"].state == "RUNNING"
    assert steps["SpawnServer"].started_at is not None
    assert 0 < rig.one(Operation, operation_id).progress < 100


def test_operations_of_a_full_host_do_not_hide_the_others(rig: Rig) -> None:
    for _ in range(3):
        _, operation_id = rig.accept("server.create")
        rig.host.fail["spawn_server"] = [errors.Silent(part="The compute service on host1")]
        rig.run(operation_id)
        rig.slots.leave(operation_id)
    _, other = rig.accept("server.create")
    threading.Event().wait(0.06)
    assert len(lease.due(rig.db, 3)) == 3
    assert other not in [found.id for found in lease.due(rig.db, 3)]
    assert [found.id for found in lease.due(rig.db, 3, except_hosts=["host1"])] == [other]
