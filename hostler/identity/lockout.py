"""Counts failed logins by user and source address, and refuses a pair that failed too often for a while.

The naive way, a lock on the user, lets anybody lock out anybody else with a few wrong guesses. Counting by pair leaves
the user's own address open; an attacker with many addresses gets the configured number of guesses from each. IPv6
addresses count by /64, which is what one customer usually has. Behind a proxy all logins share the proxy's address,
unless `[api] trusted_proxies` names it.
"""

from __future__ import annotations

import datetime as dt
import functools
import ipaddress

import sqlalchemy as sa
from oslo_config import cfg
from sqlalchemy import exc, orm

from hostler import clock
from hostler.db.engine import Database
from hostler.db.models import LoginFailures, User

# A pair that has not failed for this long starts at zero.
_REMEMBER = dt.timedelta(hours=1)
_IPV6_PREFIX = 64


@functools.lru_cache(4096)
def source_of(address: str | None) -> str:
    """Return the key under which logins from `address` are counted; "" for what is not an address."""
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return ""
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((int(parsed), _IPV6_PREFIX), strict=False))


def is_locked(db: Database, user: User, source: str) -> bool:
    """Return whether logins of the user from `source` are refused at the moment."""
    if _exempt(user):
        return False
    with db.reading() as session:
        row = session.get(LoginFailures, (user.id, source))
    return row is not None and row.locked_until is not None and row.locked_until > clock.utcnow()


def count_failure(db: Database, conf: cfg.ConfigOpts, user: User, source: str) -> None:
    """Count one failure; locks the pair when the limit is reached, and drops counts that are out of date."""
    limit = conf.identity.max_failed_logins
    if not limit or _exempt(user):
        return
    now = clock.utcnow()
    lock = dt.timedelta(seconds=conf.identity.lockout_seconds)

    def work(session: orm.Session) -> None:
        session.execute(sa.delete(LoginFailures).where(LoginFailures.expires_at < now))
        db.lock_row(session, LoginFailures, LoginFailures.user_id == user.id, LoginFailures.source == source)
        row = session.get(LoginFailures, (user.id, source), populate_existing=True)
        if row is None:
            row = LoginFailures(user_id=user.id, source=source, failures=0)
            session.add(row)
        row.failures += 1
        row.expires_at = now + max(_REMEMBER, lock)
        if row.failures >= limit:
            row.failures, row.locked_until = 0, now + lock

    try:
        db.write(work)
    except exc.IntegrityError:
        # The pair's first failure came twice at the same time; now the row is there.
        db.write(work)


def succeed(db: Database, user: User, source: str) -> None:
    """Drop the pair's failures after a success; writes nothing when there are none."""
    with db.reading() as session:
        failed = session.get(LoginFailures, (user.id, source)) is not None
    if failed:
        db.write(lambda session: session.execute(sa.delete(LoginFailures).where(
            LoginFailures.user_id == user.id, LoginFailures.source == source)))


def forget(session: orm.Session, user_id: str) -> None:
    """Drop a user's failures from everywhere (a new password)."""
    session.execute(sa.delete(LoginFailures).where(LoginFailures.user_id == user_id))


def _exempt(user: User) -> bool:
    return bool((user.options or {}).get("ignore_lockout_failure_attempts"))
