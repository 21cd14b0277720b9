"""What every model shares: the uniform attributes (CONTRACT Z-ATTRS) and how a relation is declared.

A relation is a foreign key that says its kind and what happens when its target goes: `parent` for the thing this
one lives in, `friend` for a loose reference. Query, cascade and locks read it from the column's `info`.
"""

from __future__ import annotations

import datetime as dt
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.dialects import mysql

from hostler import clock, ids
from hostler.db.moments import Moment

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}

Id = sa.String(36)
Name = sa.String(255)
LongText = sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")
TABLE_OPTIONS = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}


class Base(orm.DeclarativeBase):
    """Root of all models."""

    metadata = sa.MetaData(naming_convention=NAMING)
    __table_args__: Any = TABLE_OPTIONS
    type_annotation_map = {dt.datetime: Moment, dict[str, Any]: sa.JSON, list[Any]: sa.JSON}


class Resource:
    """The uniform attributes: id, name, description, and the times of creation and last change."""

    id: orm.Mapped[str] = orm.mapped_column(Id, primary_key=True, default=ids.new_id)
    name: orm.Mapped[str] = orm.mapped_column(Name, default="")
    description: orm.Mapped[str | None] = orm.mapped_column(sa.String(2048), default=None)
    created_at: orm.Mapped[dt.datetime] = orm.mapped_column(default=clock.utcnow)
    updated_at: orm.Mapped[dt.datetime] = orm.mapped_column(default=clock.utcnow, onupdate=clock.utcnow)


def relation(target: str, *, kind: Literal["parent", "friend"], on_delete: Literal["cascade", "restrict", "clear"],
             **options: Any) -> orm.MappedColumn[Any]:
    """Return a foreign key column to `target` ("table.column") that carries its kind and delete rule."""
    info = {"relation": kind, "on_delete": on_delete}
    return orm.mapped_column(Id, sa.ForeignKey(target), info=info, index=options.pop("index", True), **options)
