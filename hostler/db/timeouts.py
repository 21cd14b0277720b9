"""Limits on waiting, for each kind of database.

By default all of them wait without limit: for a row that a frozen process holds, for a peer behind a broken link. Each
such wait costs a worker thread, and soon all of them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from oslo_config import cfg
from sqlalchemy import event

# Seconds until TCP probes an idle connection, between two probes, and their number.
_KEEPALIVE = {"keepalives": 1, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
# What the driver's own limit on reading adds to the server's, so that the server's error comes first.
_MARGIN_S = 10


@dataclasses.dataclass(frozen=True)
class Timeouts:
    """All in seconds; 0 means no limit."""

    connect_s: int = 5
    lock_s: int = 5
    statement_s: int = 60
    idle_transaction_s: int = 30

    @classmethod
    def from_conf(cls, conf: cfg.ConfigOpts) -> Timeouts:
        """Return the configured limits."""
        options = conf.database
        return cls(options.connect_timeout, options.lock_timeout, options.statement_timeout,
                   options.idle_transaction_timeout)

    def connect_args(self, backend: str) -> dict[str, Any]:
        """Return the driver's arguments for a new connection."""
        if backend == "sqlite":
            return {"timeout": self.lock_s, "check_same_thread": False}
        if backend == "postgresql":
            return {"connect_timeout": self.connect_s, "tcp_user_timeout": 1000 * _MARGIN_S, **_KEEPALIVE}
        # PyMySQL enables TCP keepalive, but the kernel's default probes come late: limit reads, too.
        limit = self.statement_s + _MARGIN_S if self.statement_s else None
        return {"connect_timeout": self.connect_s, "read_timeout": limit, "write_timeout": limit}

    def prepare(self, backend: str, connection: Any) -> None:
        """Set the limits that a session of the database has, on a new driver connection."""
        if backend == "postgresql":
            settings = {"lock_timeout": self.lock_s, "statement_timeout": self.statement_s,
                        "idle_in_transaction_session_timeout": self.idle_transaction_s}
            # In autocommit, as all connections: rolling a transaction back would undo the settings.
            connection.autocommit = True
            connection.execute("SELECT " + ", ".join(
                f"set_config('{name}', '{1000 * value}', false)" for name, value in settings.items()))
        elif backend in ("mysql", "mariadb"):
            with connection.cursor() as cursor:
                cursor.execute(f"SET SESSION innodb_lock_wait_timeout={self.lock_s}, lock_wait_timeout={self.lock_s}, "
                               f"max_statement_time={self.statement_s}, "
                               f"idle_transaction_timeout={self.idle_transaction_s}")
                # By default the reads of a transaction see the database as of its first read, so that sums taken
                # after a lock would be old. PostgreSQL needs no such setting.
                cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")


def execute_singly(engine: sa.Engine) -> None:
    """Have lists of statements executed one by one on PostgreSQL; costs a round trip each.

    psycopg sends them in one go, as a pipeline. The session of a process that freezes in the middle is then `active`,
    not idle, and no limit of the server ends it: what it has locked stays locked until the process goes on.
    """
    def execute(cursor: Any, statement: str, rows: Iterable[Any], _context: object) -> bool:
        for row in rows:
            cursor.execute(statement, row)
        return True

    engine.dialect.supports_sane_multi_rowcount = False  # the cursor counts the last one's rows
    event.listen(engine, "do_executemany", execute)
