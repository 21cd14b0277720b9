"""Token buckets by address, user and project."""

from __future__ import annotations

import pytest

from api.rate_limits import Buckets, FailedLogins
from hostler import conf as hostler_conf
from hostler import errors


def test_a_bucket_empties_and_refills() -> None:
    """Given 2 a second and room for 3, when 4 come at once, then the fourth waits half a second."""
    now = [100.0]
    buckets = Buckets(2, 3, clock=lambda: now[0])
    assert [buckets.wait_s("a") for _ in range(4)] == [0, 0, 0, 0.5]
    assert buckets.wait_s("b") == 0, "each key has its own"
    now[0] += 0.5
    assert [buckets.wait_s("a") for _ in range(2)] == [0, 0.5]
    now[0] += 60
    assert [buckets.wait_s("a") for _ in range(4)] == [0, 0, 0, 0.5]


def test_a_rate_of_nought_is_no_limit_and_memory_is_bounded() -> None:
    assert not any(Buckets(0, 1).wait_s("a") for _ in range(10))
    buckets = Buckets(1, 1, clock=lambda: 0.0)
    for number in range(50_000):
        assert buckets.wait_s(str(number)) == 0
    assert len(buckets._full_at) <= 20_000


def test_logins_count_when_they_fail_and_while_they_run() -> None:
    conf = hostler_conf.load([], config_files=[], overrides={"api.failed_login_rate": 1, "api.failed_login_burst": 2})
    logins = FailedLogins(conf)
    for _ in range(5):
        with logins.counting("a"):
            pass
    for error in (errors.Unavailable, errors.Unauthorized):
        with pytest.raises(error), logins.counting("a"):
            raise error("no")
    with logins.counting("a"):
        with pytest.raises(errors.TooManyRequests), logins.counting("a"):
            raise AssertionError("two at once, and one that failed")
        with logins.counting("b"):
            pass
    with logins.counting("a"):
        pass
