"""Metadata definitions: which properties of images, flavors, volumes and servers there are, for dialogs to offer."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from hostler import clock
from hostler.db.models.base import TABLE_OPTIONS, Base, Resource, relation


class MetadefNamespace(Resource, Base):
    """A collection of definitions. `name` is what paths call it; `project_id` None belongs to nobody."""

    __tablename__ = "metadef_namespaces"
    __table_args__ = (sa.UniqueConstraint("name"), TABLE_OPTIONS)
    project_id: orm.Mapped[str | None] = relation("projects.id", kind="friend", on_delete="clear")
    display_name: orm.Mapped[str | None] = orm.mapped_column(sa.String(255))
    visibility: orm.Mapped[str] = orm.mapped_column(sa.String(16), default="private")
    protected: orm.Mapped[bool] = orm.mapped_column(default=False)


class MetadefItem(Base):
    """One definition of a namespace; `kind` is properties, objects, tags or resource_types, `body` what was sent."""

    __tablename__ = "metadef_items"
    namespace_id: orm.Mapped[str] = relation("metadef_namespaces.id", kind="parent", on_delete="cascade", index=False,
                                             primary_key=True)
    kind: orm.Mapped[str] = orm.mapped_column(sa.String(16), primary_key=True)
    name: orm.Mapped[str] = orm.mapped_column(sa.String(80), primary_key=True)
    body: orm.Mapped[dict[str, Any]] = orm.mapped_column(default=dict)
    created_at: orm.Mapped[dt.datetime] = orm.mapped_column(default=clock.utcnow)
    updated_at: orm.Mapped[dt.datetime] = orm.mapped_column(default=clock.utcnow, onupdate=clock.utcnow)
