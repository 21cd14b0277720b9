"""Sessions for reads: a dead connection is found by use, and replaced.

To ping each connection as it leaves the pool costs a round trip every time, for what happens when a database restarts.
Instead, a session whose first statement finds its connection broken sends that statement again on a new one: it runs in
autocommit and only reads. Later statements are not repeated, since rows already loaded would lose their values.
Transactions that write need none of this: `Database.write` repeats them as a whole.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import exc, orm


class ReadSession(orm.Session):
    """A session whose first statement outlives a connection that broke in the pool."""

    def execute(self, *arguments: Any, **options: Any) -> Any:  # type: ignore[override]
        """As `Session.execute`, which `get` uses, too."""
        return self.live(super().execute, *arguments, **options)

    def scalars(self, *arguments: Any, **options: Any) -> Any:  # type: ignore[override]
        """As `Session.scalars`."""
        return self.live(super().scalars, *arguments, **options)

    def scalar(self, *arguments: Any, **options: Any) -> Any:
        """As `Session.scalar`."""
        return self.live(super().scalar, *arguments, **options)

    def live(self, run: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Return what `run` returns, which executes a statement on this session."""
        if self.in_transaction():
            return run(*arguments, **options)
        try:
            return run(*arguments, **options)
        except exc.DBAPIError as error:
            # Without a statement, it was a new connection that could not be had.
            if error.statement is None or not error.connection_invalidated:
                raise
        self.rollback()
        return run(*arguments, **options)
