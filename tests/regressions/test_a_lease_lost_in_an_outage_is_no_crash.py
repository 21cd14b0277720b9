"""Operations were given up "after 5 interrupted attempts" although no conductor had died.

While the database did not answer, no lease could be renewed. The first conductor to reach it again took over what the
others still ran, and each time that counted as a crash.
"""

from __future__ import annotations

from typing import Any

import pytest

from hostler import errors
from hostler.db.models import Operation, Server
from hostler.operations import lease
from tests.harness.conductor_rig import Rig, rig

__all__ = ["rig"]

TIMES = 12


def _lose(rig: Rig, monkeypatch: pytest.MonkeyPatch, error: Exception | None = None) -> None:
    """Have another conductor take over what runs here at the next call of a host, which answers, or fails."""
    spawn = rig.host.spawn_server

    def lose(context: Any, *arguments: Any) -> dict[str, Any]:
        rig.expire(context.operation_id)
        assert lease.claim(rig.db, context.operation_id, "other", 30) is not None
        if error is not None:
            raise error
        return spawn(context, *arguments)

    monkeypatch.setattr(rig.host, "spawn_server", lose)


@pytest.mark.parametrize("error", [None, errors.Silent(part="host1")])
def test_a_conductor_that_lives_takes_the_crash_back(rig: Rig, monkeypatch: pytest.MonkeyPatch,
                                                     error: Exception | None) -> None:
    server_id, operation_id = rig.accept("server.create")
    with monkeypatch.context() as once:
        _lose(rig, once, error)
        rig.run(operation_id)
    operation = rig.one(Operation, operation_id)
    assert (operation.state, operation.owner, operation.crashes) == ("running", "other", 0)
    rig.expire(operation_id)
    assert rig.run(operation_id) is None
    assert rig.one(Server, server_id).vm_state == "active"


def test_a_suspect_that_lost_its_lease_is_not_blamed(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    server_id, operation_id = rig.accept("server.create")
    for _ in range(rig.conf.conductor.max_attempts):
        rig.claim(operation_id)
        rig.expire(operation_id)
    for _ in range(TIMES):
        with monkeypatch.context() as once:
            _lose(rig, once)
            rig.run(operation_id)
        assert rig.one(Operation, operation_id).crashes_alone == 0
        rig.expire(operation_id)
    assert rig.run(operation_id) is None
    assert rig.one(Server, server_id).vm_state == "active"
