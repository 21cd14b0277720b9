"""Tells an unreachable or busy database from a faulty statement.

After the first, the work is repeated, now or later, as it is after a race that it lost. The second stays wrong, and
must not be waited for.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import exc

# Deadlocks, serialization failures and time-outs; after them, the same transaction may succeed.
_BUSY_SQLSTATES = frozenset({"40001", "40P01", "55P03", "57014"})
_BUSY_MYSQL = frozenset({1020, 1205, 1213, 1969})
# Connection failures, a server that starts, stops or is a standby, too many connections, an idle transaction ended.
_AWAY_SQLSTATES = frozenset({"57P01", "57P02", "57P03", "57P05", "53300", "25P03", "25006",
                             "08000", "08001", "08003", "08004", "08006", "08S01"})
_AWAY_MYSQL = frozenset({1040, 1047, 1053, 1152, 1158, 1159, 1160, 1161, 1290, 1927, 2002, 2003, 2006, 2013, 2014, 2045,
                         2055, 4031})
# A row that is referred to is gone, one that shall go is referred to, or there is one with the same unique value.
_COLLISION_SQLSTATES = frozenset({"23001", "23503", "23505"})
_COLLISION_MYSQL = frozenset({1062, 1451, 1452})


class LostRace(Exception):
    """Raised by a transaction's work when another one took what it chose: the same work chooses again."""


def is_away(error: BaseException, dialect: Any = None) -> bool:
    """Return whether the connection broke under a statement, or could not be had.

    `dialect` (SQLAlchemy's) identifies the driver's own errors: SQLAlchemy does not wrap what is raised outside
    statements, while a connection leaves the pool.
    """
    if isinstance(error, exc.TimeoutError):  # the pool's
        return True
    if isinstance(error, exc.DBAPIError):
        # Without a statement it was the connecting that failed; SQLAlchemy marks the connections that broke later.
        return error.connection_invalidated or _has_code(error.orig, _AWAY_SQLSTATES, _AWAY_MYSQL) or (
            error.statement is None and isinstance(error, exc.OperationalError | exc.InterfaceError))
    driver = getattr(dialect, "loaded_dbapi", None)
    return driver is not None and isinstance(error, driver.OperationalError | driver.InterfaceError)


def is_transient(error: BaseException, dialect: Any = None) -> bool:
    """Return whether the same transaction may succeed when it is repeated."""
    if is_away(error, dialect) or isinstance(error, LostRace):
        return True
    return isinstance(error, exc.DBAPIError) and (
        _has_code(error.orig, _BUSY_SQLSTATES, _BUSY_MYSQL) or "database is locked" in str(error.orig))


def _has_code(original: BaseException | None, sqlstates: frozenset[str], numbers: frozenset[int]) -> bool:
    number = original.args[0] if original is not None and original.args else None
    return getattr(original, "sqlstate", None) in sqlstates or number in numbers


def is_collision(error: BaseException) -> bool:
    """Return whether a row that another transaction added or deleted in between is in the way of this one's."""
    return isinstance(error, exc.IntegrityError) and (
        _has_code(error.orig, _COLLISION_SQLSTATES, _COLLISION_MYSQL)
        or str(error.orig).startswith(("FOREIGN KEY constraint failed", "UNIQUE constraint failed")))


__all__ = ["LostRace", "is_away", "is_collision", "is_transient"]
