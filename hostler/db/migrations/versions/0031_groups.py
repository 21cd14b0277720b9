"""Groups of users, and the roles that they were given."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from hostler.db.moments import Moment

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

_TABLE: Any = {"mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin", "mysql_engine": "InnoDB"}


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "user_groups",
        sa.Column("domain_id", sa.String(36), nullable=False),
        sa.Column("extra", sa.JSON(), nullable=True),
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("description", sa.String(2048), nullable=True),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("updated_at", Moment, nullable=False),
        sa.ForeignKeyConstraint(["domain_id"], ["domains.id"], name=op.f("fk_user_groups_domain_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user_groups")),
        sa.UniqueConstraint("domain_id", "name", name=op.f("uq_user_groups_domain_id_name")), **_TABLE)
    op.create_index(op.f("ix_user_groups_domain_id"), "user_groups", ["domain_id"])
    op.create_table(
        "user_group_members",
        sa.Column("group_id", sa.String(36), nullable=False),
        sa.Column("user_id", sa.String(36), nullable=False),
        sa.ForeignKeyConstraint(["group_id"], ["user_groups.id"], name=op.f("fk_user_group_members_group_id")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_user_group_members_user_id")),
        sa.PrimaryKeyConstraint("group_id", "user_id", name=op.f("pk_user_group_members")), **_TABLE)
    op.create_index(op.f("ix_user_group_members_user_id"), "user_group_members", ["user_id"])
    op.create_table(
        "group_role_assignments",
        sa.Column("group_id", sa.String(36), nullable=False),
        sa.Column("target_type", sa.String(16), nullable=False),
        sa.Column("target_id", sa.String(36), nullable=False),
        sa.Column("role_id", sa.String(36), nullable=False),
        sa.ForeignKeyConstraint(["group_id"], ["user_groups.id"], name=op.f("fk_group_role_assignments_group_id")),
        sa.ForeignKeyConstraint(["role_id"], ["roles.id"], name=op.f("fk_group_role_assignments_role_id")),
        sa.PrimaryKeyConstraint("group_id", "target_type", "target_id", "role_id",
                                name=op.f("pk_group_role_assignments")), **_TABLE)
    op.create_index(op.f("ix_group_role_assignments_target_id"), "group_role_assignments", ["target_id"])


def downgrade() -> None:
    """Remove them."""
    for table in ("group_role_assignments", "user_group_members", "user_groups"):
        op.drop_table(table)
