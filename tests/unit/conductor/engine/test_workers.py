"""The conductor's threads outlive what goes wrong in one of their turns."""

from __future__ import annotations

import time

import pytest

from conductor.engine.workers import Workers
from hostler.db.models import Operation
from hostler.operations import lease, states
from tests.harness.conductor_rig import Rig


def test_polling_and_renewing_go_on_after_a_surprise(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    surprises = {"due": 2, "renew": 2}

    def surprising(name: str) -> None:
        original = getattr(lease, name)

        def act(*arguments: object, **named: object) -> object:
            if surprises[name]:
                surprises[name] -= 1
                raise AttributeError("a surprise")
            return original(*arguments, **named)

        monkeypatch.setattr(lease, name, act)

    surprising("due")
    surprising("renew")
    rig.conf.set_override("poll_interval", 0.05, "conductor")
    rig.conf.set_override("lease_seconds", 2, "conductor")
    workers = Workers(rig.cloud, rig.conf)
    _, operation_id = rig.accept("server.create")
    with workers._lock:
        workers._held.add("another")
    workers.start()
    try:
        end = time.monotonic() + 20
        while rig.one(Operation, operation_id).state != states.SUCCEEDED or surprises["renew"]:
            assert time.monotonic() < end, surprises
            time.sleep(0.05)
    finally:
        with workers._lock:
            workers._held.clear()
        workers.stop()
