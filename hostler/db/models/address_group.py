"""Address groups: lists of blocks that security group rules name together."""

from __future__ import annotations

from typing import Any

from sqlalchemy import orm

from hostler.db.models.base import Base, Resource, relation


class AddressGroup(Resource, Base):
    """Blocks of either IP version, in their canonical spelling and without repeats."""

    __tablename__ = "address_groups"
    project_id: orm.Mapped[str] = relation("projects.id", kind="parent", on_delete="cascade")
    addresses: orm.Mapped[list[Any]] = orm.mapped_column(default=list)
    revision: orm.Mapped[int] = orm.mapped_column(default=1)
