"""INSERT, or UPDATE where the row exists: one statement, which each kind of database spells its own way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql, sqlite


def upsert(table: sa.Table, key: Sequence[str], values: Sequence[str]) -> Mapping[str, Any]:
    """Return the statement by the dialect's name; it is given rows with the columns `key` and `values`."""
    made: dict[str, Any] = {}
    for kind in (postgresql, sqlite):
        insert = kind.insert(table)
        made[kind.__name__.rpartition(".")[2]] = insert.on_conflict_do_update(
            index_elements=key, set_={name: insert.excluded[name] for name in values})
    replace = mysql.insert(table)
    made["mysql"] = made["mariadb"] = replace.on_duplicate_key_update({name: replace.inserted[name] for name in values})
    return made
