"""An unreachable database delays operations and fails none; a silent host fails one past the patience of its kind."""

from __future__ import annotations

import datetime as dt

import pytest
from sqlalchemy import event, exc

from hostler import errors
from hostler.db.models import Operation, Server
from hostler.operations import states
from tests.harness.conductor_rig import Rig


def _broken() -> exc.OperationalError:
    return exc.OperationalError("SELECT 1", {}, Exception("server closed the connection"), connection_invalidated=True)


class Away:
    """A database that fails with `error` from the moment a host or scheduler is asked, until `back`."""

    def __init__(self, rig: Rig, call: str, error: Exception) -> None:
        self._engine, self._error = rig.db.engine, error
        step = rig.host._step

        def watched(name: str) -> None:
            if name == call and not self.was_away:
                self.was_away = True
                event.listen(self._engine, "before_cursor_execute", self._fail)
            step(name)

        self.was_away = False
        rig.host._step = watched  # type: ignore[method-assign]

    def _fail(self, *_arguments: object) -> None:
        raise self._error

    def back(self) -> None:
        """Answer again."""
        event.remove(self._engine, "before_cursor_execute", self._fail)


@pytest.mark.parametrize("call", ["select_host", "spawn_server"])
@pytest.mark.parametrize("error", [_broken(), exc.OperationalError(None, None, Exception("connection refused")),
                                   exc.TimeoutError("QueuePool limit reached")])
def test_a_task_that_lost_the_database_runs_again(rig: Rig, call: str, error: Exception,
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rig.db, "_patience_s", 0.0)
    server_id, operation_id = rig.accept("server.create")
    away = Away(rig, call, error)
    # What is handed over is written once the database answers again.
    monkeypatch.setattr("conductor.engine.runner.time.sleep", lambda _seconds: away.back())
    stop = rig.run(operation_id)
    assert stop is not None
    assert stop.waiting_for == "database"
    assert rig.one(Server, server_id).vm_state == "building"
    rig.expire_delay(operation_id)
    assert rig.run(operation_id) is None
    assert rig.one(Server, server_id).vm_state == "active"
    operation = rig.one(Operation, operation_id)
    assert (operation.state, operation.crashes) == (states.SUCCEEDED, 0)


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
    for raised, expected in ((wrong, exc.OperationalError), (_broken(), errors.DatabaseUnavailable)):
        with pytest.raises(expected), rig.db.translated():
            raise raised
    server_id, operation_id = rig.accept("server.create")
    rig.host.fail["spawn_server"] = [wrong]
    assert rig.run(operation_id) is None
    assert rig.one(Server, server_id).vm_state == "error"


def test_a_broken_end_is_no_failure(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a database that goes while the end is written, when it is back, then the operation succeeds."""
    server_id, create_id = rig.accept("server.create")
    assert rig.run(create_id) is None
    _, operation_id = rig.accept("server.stop", server_id)
    away = Away(rig, "stop_server", _broken())
    monkeypatch.setattr(rig.db, "_patience_s", 0.0)
    monkeypatch.setattr("conductor.engine.runner.time.sleep", lambda _seconds: away.back())
    assert rig.run(operation_id) is not None
    rig.expire_delay(operation_id)
    assert rig.run(operation_id) is None
    assert rig.one(Server, server_id).vm_state == "stopped"


@pytest.mark.parametrize(("kind", "call", "gives_up"), [
    ("server.stop", "stop_server", False), ("server.crash_dump", "inject_nmi", True)])
def test_a_crash_dump_is_given_up_where_a_stop_still_waits(rig: Rig, kind: str, call: str, gives_up: bool) -> None:
    rig.conf.set_override("agent_patience", 300, "conductor")
    server_id, create_id = rig.accept("server.create")
    assert rig.run(create_id) is None
    _, operation_id = rig.accept(kind, server_id)
    rig.host.fail[call] = [errors.Silent(part="The compute service on host1")] * 2
    assert rig.run(operation_id) is not None, "a short silence is waited for"
    rig.expire_delay(operation_id)
    _have_waited(rig, operation_id, 100)
    assert (rig.run(operation_id) is None) == gives_up
    assert rig.one(Operation, operation_id).state == (states.FAILED if gives_up else states.PENDING)


def _have_waited(rig: Rig, operation_id: str, seconds: int) -> None:
    """Let an operation have waited for its host for so long."""
    rig.db.write(lambda session: setattr(session.get_one(Operation, operation_id), "waiting_since",
                                         rig.db.now() - dt.timedelta(seconds=seconds)))
