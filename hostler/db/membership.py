"""`column IN (…)` for lists of any length, as one parameter where the database has arrays.

SQLAlchemy expands an IN into a parameter for each value, which for the thousand servers of a page costs more than
reading their rows, and gives PostgreSQL a new statement to plan for each length.

`= ANY(array)` would do, too, until PostgreSQL scans a table: it compares each row with each value of an array that it
does not know when it plans. A subquery is joined.

The ids travel as one text, which the driver need not look through for characters to quote. They come by a subquery of
their own, so that the planner does not see how many they are: a plan for the few at hand would always look cheaper than
one for any, and PostgreSQL would plan again at each execution, which takes longer than to execute.

>>> statement = sa.select(Tag.name).where(among(Tag.server_id))
>>> session.execute(statement, {"ids": server_ids})
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

_SEPARATOR: Final = chr(31)


class _Joined(sa.TypeDecorator[Sequence[str]]):
    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Sequence[str] | None, _dialect: sa.Dialect) -> str:
        return _SEPARATOR.join(value or ())


class among(FunctionElement[bool]):
    """Whether a column of text is among the values bound as `ids`."""

    name = "among"
    type = sa.Boolean()
    inherit_cache = True

    def __init__(self, column: Any) -> None:
        super().__init__(column)


@compiles(among)
def _expanded(element: Any, compiler: Any, **options: Any) -> str:
    [column] = element.clauses
    return str(compiler.process(column.in_(sa.bindparam("ids", expanding=True)), **options))


@compiles(among, "postgresql")
def _array(element: Any, compiler: Any, **options: Any) -> str:
    [column] = element.clauses
    unseen = sa.select(sa.bindparam("ids", type_=_Joined())).scalar_subquery()
    ids: Any = sa.func.string_to_array(unseen, sa.literal_column("chr(31)"))
    return str(compiler.process(column.in_(sa.select(sa.func.unnest(ids))), **options))
