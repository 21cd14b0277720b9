"""Metadata definitions: namespaces and what is in them."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from hostler.db.moments import Moment

revision = "0035"
down_revision = "0031"
branch_labels = None
depends_on = None

_TABLE: Any = {"mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin", "mysql_engine": "InnoDB"}


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "metadef_namespaces",
        sa.Column("project_id", sa.String(36), nullable=True),
        sa.Column("display_name", sa.String(255), nullable=True),
        sa.Column("visibility", sa.String(16), nullable=False),
        sa.Column("protected", sa.Boolean(), nullable=False),
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("description", sa.String(2048), nullable=True),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("updated_at", Moment, nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_metadef_namespaces_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_metadef_namespaces")),
        sa.UniqueConstraint("name", name=op.f("uq_metadef_namespaces_name")), **_TABLE)
    op.create_index(op.f("ix_metadef_namespaces_project_id"), "metadef_namespaces", ["project_id"])
    op.create_table(
        "metadef_items",
        sa.Column("namespace_id", sa.String(36), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("updated_at", Moment, nullable=False),
        sa.ForeignKeyConstraint(["namespace_id"], ["metadef_namespaces.id"],
                                name=op.f("fk_metadef_items_namespace_id")),
        sa.PrimaryKeyConstraint("namespace_id", "kind", "name", name=op.f("pk_metadef_items")), **_TABLE)


def downgrade() -> None:
    """Remove them."""
    op.drop_table("metadef_items")
    op.drop_table("metadef_namespaces")
