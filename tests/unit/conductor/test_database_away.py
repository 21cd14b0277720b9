"""A database that is away for a moment delays operations; it makes none fail."""

from __future__ import annotations

import pytest
from sqlalchemy import exc

from hostler import errors
from hostler.db.models import Operation, Server
from hostler.db.outage import is_away, said_as_unavailable
from hostler.operations import states
from tests.harness.conductor_rig import Rig


def _broken() -> exc.OperationalError:
    return exc.OperationalError("SELECT 1", {}, Exception("server closed the connection"), connection_invalidated=True)


@pytest.mark.parametrize("call", ["select_host", "spawn_server"])
@pytest.mark.parametrize("error", [_broken(), exc.OperationalError(None, None, Exception("connection refused"))])
def test_a_task_that_lost_the_database_runs_again(rig: Rig, call: str, error: exc.OperationalError) -> None:
    server_id, operation_id = rig.accept("server.create")
    rig.host.fail[call] = [error]
    stop = rig.run(operation_id)
    assert stop is not None
    assert stop.waiting_for == "database"
    assert rig.one(Server, server_id).vm_state == "building"
    rig.expire_delay(operation_id)
    assert rig.run(operation_id) is None
    assert rig.one(Server, server_id).vm_state == "active"
    assert rig.one(Operation, operation_id).state == states.SUCCEEDED


def test_a_scheduler_without_its_database_is_waited_for(rig: Rig) -> None:
    server_id, operation_id = rig.accept("server.create")
    rig.host.fail["select_host"] = [errors.Unavailable(part="The database")]
    stop = rig.run(operation_id)
    assert stop is not None
    assert rig.one(Server, server_id).vm_state == "building"
    rig.expire_delay(operation_id)
    assert rig.run(operation_id) is None
    assert rig.one(Server, server_id).vm_state == "active"


def test_a_statement_at_fault_is_not_waited_for(rig: Rig) -> None:
    wrong = exc.OperationalError("SELECT nonsense", {}, Exception("no such column"))
    assert not is_away(wrong)
    with pytest.raises(exc.OperationalError), said_as_unavailable():
        raise wrong
    with pytest.raises(errors.Unavailable), said_as_unavailable():
        raise _broken()
    server_id, operation_id = rig.accept("server.create")
    rig.host.fail["spawn_server"] = [wrong]
    assert rig.run(operation_id) is None
    assert rig.one(Server, server_id).vm_state == "error"
