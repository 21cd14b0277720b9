"""A database that does not answer, told from a statement at fault, and said in our own words at the services' borders.

The first passes by itself: what met it waits or is tried again. The second never does, and must not be waited for.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from sqlalchemy import exc

from hostler import errors


def is_away(error: BaseException) -> bool:
    """Return whether the connection broke under a statement, or could not be made."""
    if not isinstance(error, exc.DBAPIError):
        return False
    # Without a statement it was the connecting that failed; SQLAlchemy marks the connections that broke later.
    return error.connection_invalidated or (
        error.statement is None and isinstance(error, exc.OperationalError | exc.InterfaceError))


@contextlib.contextmanager
def said_as_unavailable() -> Iterator[None]:
    """Raise Unavailable for a database that is away; also a decorator, for methods that are called over the bus."""
    try:
        yield
    except exc.DBAPIError as error:
        if not is_away(error):
            raise
        raise errors.Unavailable(part="The database") from error


__all__ = ["is_away", "said_as_unavailable"]
