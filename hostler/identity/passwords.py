"""Password hashes (bcrypt) and the lockout after too many failures.

bcrypt reads 72 bytes at most and stops at a zero byte; passwords are put through SHA-256 first, so that every byte of
any length counts. An unknown user costs the same time and gets the same answer as a wrong password.
"""

from __future__ import annotations

import base64
import datetime as dt
import functools
import hashlib
import secrets

import bcrypt
import sqlalchemy as sa
from oslo_config import cfg

from hostler import clock
from hostler.db.engine import Database
from hostler.db.models import User


def hash_password(password: str, rounds: int) -> str:
    """Return the hash to store; `rounds` is bcrypt's cost (log2)."""
    return bcrypt.hashpw(_condense(password), bcrypt.gensalt(rounds)).decode()


def password_matches(password: str, stored: str | None, rounds: int) -> bool:
    """Return whether `password` belongs to the hash; without a hash the same time is spent and the answer is no."""
    matches = bcrypt.checkpw(_condense(password), (stored or _nobody(rounds)).encode())
    return matches and stored is not None


def check_user(db: Database, conf: cfg.ConfigOpts, user: User | None, password: str) -> bool:
    """Return whether `password` is the user's, and count failures; a locked user is refused without a check."""
    rounds = conf.identity.password_rounds
    if user is None or _is_locked(user, clock.utcnow()):
        password_matches(password, None, rounds)
        return False
    if password_matches(password, user.password_hash, rounds):
        if user.failed_logins:
            _set_failures(db, user.id, 0, None)
        return True
    if not _never_locks(user):
        _count_failure(db, conf, user.id)
    return False


def _is_locked(user: User, now: dt.datetime) -> bool:
    return user.locked_until is not None and user.locked_until > now and not _never_locks(user)


def _never_locks(user: User) -> bool:
    return bool((user.options or {}).get("ignore_lockout_failure_attempts"))


def _count_failure(db: Database, conf: cfg.ConfigOpts, user_id: str) -> None:
    limit = conf.identity.max_failed_logins
    if not limit:
        return
    now = clock.utcnow()
    until = now + dt.timedelta(seconds=conf.identity.lockout_seconds)
    reached = User.failed_logins + 1 >= limit
    # One statement, so that concurrent failures all count; each lockout resets the count. The lock comes first, since
    # MariaDB evaluates assignments from left to right.
    db.write(lambda session: session.execute(
        sa.update(User).where(User.id == user_id).ordered_values(
            (User.locked_until, sa.case((reached, until), else_=User.locked_until)),
            (User.failed_logins, sa.case((reached, 0), else_=User.failed_logins + 1)))
        .execution_options(synchronize_session=False)))


def _set_failures(db: Database, user_id: str, count: int, until: dt.datetime | None) -> None:
    db.write(lambda session: session.execute(
        sa.update(User).where(User.id == user_id).values(failed_logins=count, locked_until=until)
        .execution_options(synchronize_session=False)))


def _condense(password: str) -> bytes:
    return base64.b64encode(hashlib.sha256(password.encode("utf-8", "surrogatepass")).digest())


@functools.cache
def _nobody(rounds: int) -> str:
    return hash_password(secrets.token_urlsafe(), rounds)
