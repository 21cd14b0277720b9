"""The watchdog outlives failures and ends when told."""

from __future__ import annotations

import threading

import pytest

from compute.network import watchdog


def test_it_goes_on_after_a_failure_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "_PERIOD_S", 0.01)
    calls = 0
    enough = threading.Event()

    def _repair() -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise RuntimeError("first round fails")
        enough.set()

    dog = watchdog.Watchdog(_repair)
    dog.start()
    dog.start()
    assert enough.wait(5)
    dog.close()
    seen = calls
    dog.start()
    assert not [thread for thread in threading.enumerate() if thread.name == "network-watchdog"]
    assert calls == seen
