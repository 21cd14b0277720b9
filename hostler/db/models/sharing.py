"""What projects share with one another."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import orm

from hostler.db.models.base import TABLE_OPTIONS, Base, Id, Resource, relation


class RbacPolicy(Resource, Base):
    """Lets a project, or with `*` every project, use what another one owns.

    `object_id` has no foreign key, as there is a table for each type: who deletes an object deletes its policies
    (`hostler.resources.network.sharing.forget`).
    """

    __tablename__ = "rbac_policies"
    __table_args__ = (sa.UniqueConstraint("object_id", "action", "target"), TABLE_OPTIONS)
    project_id: orm.Mapped[str] = relation("projects.id", kind="parent", on_delete="cascade")
    object_type: orm.Mapped[str] = orm.mapped_column(sa.String(32))
    object_id: orm.Mapped[str] = orm.mapped_column(Id)
    action: orm.Mapped[str] = orm.mapped_column(sa.String(32))
    target: orm.Mapped[str] = orm.mapped_column(Id, index=True)
    revision: orm.Mapped[int] = orm.mapped_column(default=1)
