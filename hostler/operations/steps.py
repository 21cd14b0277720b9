"""Writing the steps of an operation's flow together with the operation's row, which says whose it is.

Two statements in a transaction are four round trips, before every task. PostgreSQL takes both as one statement, which
needs no BEGIN and COMMIT beside it: one round trip, after which nothing is held, wherever its conductor stops. The
other kinds of database keep the transaction.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.dialects import postgresql

from hostler import clock
from hostler.db.compiled import execute_compiled
from hostler.db.engine import Database
from hostler.db.models import Operation, OperationStep
from hostler.db.upsert import upsert
from hostler.operations import lease

Result = TypeVar("Result")
Step = Mapping[str, Any]  # the columns of `OperationStep`, but for its operation

_STEPS: Any = OperationStep.__table__
_OPERATIONS: Any = Operation.__table__
_VALUES = ("uuid", "state", "detail", "host", "started_at", "finished_at")
_COLUMNS = ("name", *_VALUES)
_INSERTED = ("operation_id", *_COLUMNS)
_WRITE = upsert(_STEPS, ["operation_id", "name"], _VALUES)


def write_alone(db: Database, work: Callable[[orm.Session], Result]) -> Result:
    """Return what `work` returns, which calls `write` and nothing else, in as few round trips as `db` needs."""
    return db.write_alone(work) if _is_one_statement(db.engine.dialect.name) else db.write(work)


def write(session: orm.Session, held: lease.Claim, steps: Collection[Step], values: Mapping[str, Any], *,
          at_end: bool = False) -> bool:
    """Write steps, and `values` to their operation; returns whether somebody asked it to stop (False `at_end`).

    Raises LeaseLost when it is no longer ours.
    """
    connection = session.connection()
    kind = connection.dialect.name
    if not _is_one_statement(kind):
        cancelled = False
        if at_end:
            lease.check_owned(session, held, **values)
        else:
            cancelled = lease.write_step(session, held, **values)
        if steps:
            execute_compiled(connection, _WRITE[kind], [{"operation_id": held.id, **step} for step in steps], _INSERTED)
        return cancelled
    row = execute_compiled(connection, _written_with(tuple(sorted(values))), {
        "operation": held.id, "held_attempt": held.attempt, "new_updated_at": clock.utcnow(),
        **{f"new_{name}": value for name, value in values.items()}, **_arrays(list(steps))}).one_or_none()
    if row is None:
        raise lease.LeaseLost(held.id)
    return bool(row.cancel_requested) and not at_end


def _is_one_statement(kind: str) -> bool:
    return kind == "postgresql"


def _arrays(steps: Sequence[Step]) -> dict[str, list[Any]]:
    arrays = {f"steps_{name}": [step[name] for step in steps] for name in _COLUMNS}
    return {**arrays, "steps_detail": [json.dumps(detail) for detail in arrays["steps_detail"]]}


@functools.cache
def _written_with(names: tuple[str, ...]) -> Any:
    """Return the statement that changes these columns of an operation that is still ours, and writes its steps."""
    ours = sa.update(_OPERATIONS).where(
        _OPERATIONS.c.id == sa.bindparam("operation"), *lease.IS_OURS).values({
        name: sa.bindparam(f"new_{name}", type_=_OPERATIONS.c[name].type) for name in (*names, "updated_at")})
    held = ours.returning(_OPERATIONS.c.id, _OPERATIONS.c.cancel_requested).cte("held")
    # The text of each value, so that the database reads what is in it no earlier than for any other column of JSON.
    types = {name: sa.Text() if name == "detail" else _STEPS.c[name].type for name in _COLUMNS}
    steps = sa.func.unnest(*(sa.bindparam(f"steps_{name}", type_=postgresql.ARRAY(types[name])) for name in _COLUMNS)
                           ).table_valued(*(sa.column(name, types[name]) for name in _COLUMNS), name="steps"
                                          ).render_derived()
    rows = sa.select(held.c.id, *(sa.cast(steps.c[name], _STEPS.c[name].type) for name in _COLUMNS)).select_from(
        held.join(steps, sa.true()))
    insert = postgresql.insert(_STEPS).from_select(["operation_id", *_COLUMNS], rows)
    written = insert.on_conflict_do_update(
        index_elements=["operation_id", "name"], set_={name: insert.excluded[name] for name in _VALUES})
    return sa.select(held.c.cancel_requested).add_cte(written.cte("written"))
