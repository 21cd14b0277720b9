"""QoS policies: how fast the ports that have one may send and receive."""

from __future__ import annotations

from typing import Any

from sqlalchemy import orm

from hostler.db.models.base import Base, Id, Resource, relation


class QosPolicy(Resource, Base):
    """Bandwidth limits, one a direction at most: [{"id", "direction", "max_kbps", "max_burst_kbps"}]."""

    __tablename__ = "qos_policies"
    project_id: orm.Mapped[str] = relation("projects.id", kind="parent", on_delete="cascade")
    rules: orm.Mapped[list[Any]] = orm.mapped_column(default=list)
    # The project whose new networks get it unasked, so that there is one at most.
    default_of: orm.Mapped[str | None] = orm.mapped_column(Id, unique=True)
    tags: orm.Mapped[list[Any]] = orm.mapped_column(default=list)
    revision: orm.Mapped[int] = orm.mapped_column(default=1)
