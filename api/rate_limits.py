"""How many requests one address, one user and one project may send: a token bucket for each.

A bucket holds `burst` requests and refills with `rate` a second. It is kept as one number, the moment at which it is
full again (the algorithm known as GCRA), so most requests cost one look into a dictionary. Each api process counts for
itself.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import falcon
from oslo_config import cfg

from api.front.gateway import HEALTH_PATH
from hostler import errors
from hostler.identity.lockout import source_of

# Keys that are remembered; full buckets are forgotten first.
_MAX_KEYS: Final = 20_000


class Buckets:
    """The buckets of one kind of sender. `rate` 0: no limit."""

    def __init__(self, rate: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval_s = 1 / rate if rate else 0.0
        self._depth_s = max(burst, 1) * self._interval_s
        self._clock = clock
        self._full_at: dict[str, float] = {}

    def wait_s(self, key: str) -> float:
        """Take one request from the bucket of `key`; returns 0, or when it is empty, the seconds until it is not."""
        if not self._interval_s:
            return 0.0
        now = self._clock()
        full_at = max(self._full_at.get(key, now), now) + self._interval_s
        if (excess := full_at - now - self._depth_s) > 1e-9:
            return excess
        if len(self._full_at) >= _MAX_KEYS and key not in self._full_at:
            self._forget(now)
        self._full_at[key] = full_at
        return 0.0

    def check(self, key: str) -> None:
        """Take one request; raises TooManyRequests when the bucket is empty."""
        if wait_s := self.wait_s(key):
            raise errors.TooManyRequests(retry_after_s=math.ceil(wait_s))

    def give_back(self, key: str) -> None:
        """Undo one `check`."""
        if key in self._full_at:
            self._full_at[key] -= self._interval_s

    def _forget(self, now: float) -> None:
        emptier = {key: full_at for key, full_at in self._full_at.copy().items() if full_at > now}
        self._full_at = emptier if len(emptier) < _MAX_KEYS else {}


class RateLimits:
    """Middleware: counts by address before authentication, by user and project after it; raises TooManyRequests."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        options = conf.api
        self._addresses = Buckets(options.address_rate, options.address_burst)
        self._users = Buckets(options.user_rate, options.user_burst)
        self._projects = Buckets(options.project_rate, options.project_burst)

    def process_request(self, request: falcon.Request, _response: falcon.Response) -> None:
        """Count by address; health checks always pass."""
        if request.path != HEALTH_PATH:
            self._addresses.check(source_of(request.remote_addr))

    def process_resource(self, request: falcon.Request, _response: falcon.Response, _resource: Any,
                         _params: dict[str, Any]) -> None:
        """Count by user and project, once they are known."""
        caller = request.context.caller
        if caller is None:
            return
        self._users.check(caller.user_id or "")
        if caller.project_id:
            self._projects.check(caller.project_id)


class FailedLogins:
    """Bounds what guessing costs this process, by address: each wrong password takes as long to check as a right one.

    A login counts while it is under way, so that many at once do not slip through, and afterwards if it failed.
    """

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._buckets = Buckets(conf.api.failed_login_rate / 60, conf.api.failed_login_burst)

    @contextlib.contextmanager
    def counting(self, source: str) -> Iterator[None]:
        """Keep what the block took if it raises Unauthorized; raises TooManyRequests before it begins."""
        self._buckets.check(source)
        failed = False
        try:
            yield
        except errors.Unauthorized:
            failed = True
            raise
        finally:
            if not failed:
                self._buckets.give_back(source)
