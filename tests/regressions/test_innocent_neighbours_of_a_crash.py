"""Operations were given up after five interruptions, whoever caused them: one that killed its conductor took those
along that ran beside it, and so did a crash loop of the process itself."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from conductor.engine.isolation import Isolation
from hostler.db.models import Operation, Server
from hostler.operations import lease, states
from tests.harness.conductor_rig import Rig, rig

__all__ = ["rig"]


class Killed(BaseException):
    """Stands for kill -9: passes through everything."""


def _die_at(rig: Rig, operation_id: str, call: str) -> lease.Claim:
    """Let the conductor die while an operation is at `call`; returns what it had claimed."""
    held = rig.claim(operation_id)
    rig.host.fail[call] = [Killed()]
    with pytest.raises(Killed):
        rig.runner.run(held)
    rig.expire(operation_id)
    return held


def test_an_operation_that_makes_progress_is_never_given_up(rig: Rig) -> None:
    server_id, operation_id = rig.accept("server.create")
    limit = rig.conf.conductor.max_attempts
    for _ in range(limit - 1):
        _die_at(rig, operation_id, "select_host")
    for number in range(limit - 1):
        held = _die_at(rig, operation_id, "spawn_server")
        assert held.crashes == (limit - 1 if number == 0 else number), "the first step was finished"
    assert rig.run(operation_id) is None
    assert rig.one(Server, server_id).vm_state == "active"


def test_what_was_not_alone_is_not_blamed(rig: Rig) -> None:
    """Given a conductor that dies ten times with two operations in it, then the one beside the cause succeeds."""
    neighbour_server, neighbour = rig.accept("server.create")
    for _ in range(10):
        rig.claim(neighbour)  # under way when another one kills the process
        rig.expire(neighbour)
    held = rig.claim(neighbour)
    assert (held.crashes, held.crashes_alone) == (10, 0)
    assert rig.runner.run(held) is None
    assert rig.one(Server, neighbour_server).vm_state == "active"


def test_what_is_alone_twice_when_the_conductor_dies_is_reverted(rig: Rig) -> None:
    server_id, operation_id = rig.accept("server.create")
    claims = [_die_at(rig, operation_id, "spawn_server") for _ in range(rig.conf.conductor.max_attempts + 2)]
    assert [held.crashes_alone for held in claims][-2:] == [0, 1]
    assert rig.run(operation_id) is None
    operation = rig.one(Operation, operation_id)
    assert operation.state == states.FAILED and "Given up" in operation.message
    assert rig.one(Server, server_id).vm_state == "error"


def _isolation(rig: Rig, alone_s: float = 30) -> Isolation:
    return Isolation(rig.db, rig.conf.conductor.max_attempts, alone_s, lambda: False)


def _suspect(rig: Rig) -> lease.Claim:
    _, operation_id = rig.accept("server.create")
    for _ in range(rig.conf.conductor.max_attempts):
        rig.claim(operation_id)
        rig.expire(operation_id)
    return rig.claim(operation_id)


def _start(work: Callable[[], Any]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_nothing_starts_beside_a_suspect_until_it_makes_progress(rig: Rig) -> None:
    isolation, suspect = _isolation(rig), _suspect(rig)
    _, other_id = rig.accept("server.create")
    other = rig.claim(other_id)
    started = threading.Event()

    def run_other() -> None:
        with isolation.admitting(other, rig.db):
            started.set()

    with isolation.admitting(suspect, rig.db):
        assert rig.one(Operation, suspect.id).alone
        thread = _start(run_other)
        assert not started.wait(0.1)
        isolation.release(suspect.id)
        assert started.wait(10)
    thread.join(10)
    assert not rig.one(Operation, other_id).alone


def test_a_suspect_is_acquitted_after_a_while(rig: Rig) -> None:
    isolation, suspect = _isolation(rig, alone_s=0.05), _suspect(rig)
    _, other_id = rig.accept("server.create")
    other = rig.claim(other_id)
    with isolation.admitting(suspect, rig.db), isolation.admitting(other, rig.db):
        assert not rig.one(Operation, suspect.id).alone


def test_a_suspect_beside_long_work_is_not_alone_and_not_blamed(rig: Rig) -> None:
    isolation, suspect = _isolation(rig, alone_s=0.05), _suspect(rig)
    _, other_id = rig.accept("server.create")
    other = rig.claim(other_id)
    with isolation.admitting(other, rig.db), isolation.admitting(suspect, rig.db):
        assert not rig.one(Operation, suspect.id).alone
