"""A statement that runs for long has another connection tried, once for all who wait."""

from __future__ import annotations

from unittest import mock

from hostler.db.silence import Probe
from hostler.db.timeouts import Timeouts

LIMITS = Timeouts(connect_s=2, lock_s=3)


def test_nothing_is_looked_at_while_a_lock_may_be_waited_for() -> None:
    connect = mock.Mock(side_effect=OSError)
    assert not Probe(connect, LIMITS).finds_silence(3.9)
    assert not connect.called


def test_a_server_that_takes_a_connection_is_busy() -> None:
    connect = mock.Mock()
    assert not Probe(connect, LIMITS).finds_silence(60)
    assert connect.return_value.close.called


def test_one_look_serves_all_who_wait() -> None:
    connect = mock.Mock(side_effect=OSError)
    probe = Probe(connect, LIMITS)
    assert [probe.finds_silence(5) for _ in range(3)] == [True] * 3
    assert connect.call_count == 1
