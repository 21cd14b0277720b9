"""Address groups, and the one that a security group rule names."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hostler.db.moments import Moment

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table, and the rules' column."""
    op.create_table(
        "address_groups",
        sa.Column("project_id", sa.String(36), nullable=False),
        sa.Column("addresses", sa.JSON(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("description", sa.String(2048), nullable=True),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("updated_at", Moment, nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_address_groups_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_address_groups")),
        mysql_charset="utf8mb4", mysql_collate="utf8mb4_bin", mysql_engine="InnoDB")
    op.create_index(op.f("ix_address_groups_project_id"), "address_groups", ["project_id"])
    with op.batch_alter_table("security_group_rules") as batch:
        batch.add_column(sa.Column("remote_address_group_id", sa.String(36), nullable=True))
        batch.create_foreign_key(op.f("fk_security_group_rules_remote_address_group_id"), "address_groups",
                                 ["remote_address_group_id"], ["id"])
        batch.create_index(op.f("ix_security_group_rules_remote_address_group_id"), ["remote_address_group_id"])


def downgrade() -> None:
    """Remove them, and the rules that name an address group: without it they would admit everybody."""
    rules = sa.table("security_group_rules", sa.column("remote_address_group_id", sa.String))
    op.execute(sa.delete(rules).where(rules.c.remote_address_group_id.is_not(None)))
    with op.batch_alter_table("security_group_rules") as batch:
        batch.drop_constraint(op.f("fk_security_group_rules_remote_address_group_id"), type_="foreignkey")
        batch.drop_index(op.f("ix_security_group_rules_remote_address_group_id"))
        batch.drop_column("remote_address_group_id")
    op.drop_table("address_groups")
