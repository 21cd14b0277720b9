"""Password hashes (bcrypt), and checking a password.

bcrypt reads 72 bytes at most and stops at a zero byte; passwords are put through SHA-256 first, so that every byte of
any length counts. An unknown user costs the same time and gets the same answer as a wrong password.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import secrets

import bcrypt
from oslo_config import cfg

from hostler.db.engine import Database
from hostler.db.models import User
from hostler.identity import lockout


def hash_password(password: str, rounds: int) -> str:
    """Return the hash to store; `rounds` is bcrypt's cost (log2)."""
    return bcrypt.hashpw(_condense(password), bcrypt.gensalt(rounds)).decode()


def password_matches(password: str, stored: str | None, rounds: int) -> bool:
    """Return whether `password` belongs to the hash; without a hash the same time is spent and the answer is no."""
    matches = bcrypt.checkpw(_condense(password), (stored or _nobody(rounds)).encode())
    return matches and stored is not None


def check_user(db: Database, conf: cfg.ConfigOpts, user: User | None, password: str, source: str) -> bool:
    """Return whether `password` is the user's, and count failures from `source`; see `check_secret`."""
    return check_secret(db, conf, user, password, None if user is None else user.password_hash, source)


def check_secret(db: Database, conf: cfg.ConfigOpts, user: User | None, secret: str, stored: str | None,
                 source: str) -> bool:
    """Return whether `secret` belongs to a hash that proves who `user` is, and count failures from `source`.

    A user who is locked out from there is refused without a check.
    """
    rounds = conf.identity.password_rounds
    if user is None or lockout.is_locked(db, user, source):
        password_matches(secret, None, rounds)
        return False
    if password_matches(secret, stored, rounds):
        lockout.succeed(db, user, source)
        return True
    lockout.count_failure(db, conf, user, source)
    return False


def _condense(password: str) -> bytes:
    return base64.b64encode(hashlib.sha256(password.encode("utf-8", "surrogatepass")).digest())


@functools.cache
def _nobody(rounds: int) -> str:
    return hash_password(secrets.token_urlsafe(), rounds)
