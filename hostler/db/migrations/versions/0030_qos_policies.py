"""QoS policies, and those that networks and ports have."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hostler.db.moments import Moment

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None

_BOUND = ("networks", "ports")


def upgrade() -> None:
    """Add the table, and a column to what may have a policy."""
    op.create_table(
        "qos_policies",
        sa.Column("project_id", sa.String(36), nullable=False),
        sa.Column("rules", sa.JSON(), nullable=False),
        sa.Column("default_of", sa.String(36), nullable=True),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("description", sa.String(2048), nullable=True),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("updated_at", Moment, nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_qos_policies_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_qos_policies")),
        sa.UniqueConstraint("default_of", name=op.f("uq_qos_policies_default_of")),
        mysql_charset="utf8mb4", mysql_collate="utf8mb4_bin", mysql_engine="InnoDB")
    op.create_index(op.f("ix_qos_policies_project_id"), "qos_policies", ["project_id"])
    for table in _BOUND:
        with op.batch_alter_table(table) as batch:
            batch.add_column(sa.Column("qos_policy_id", sa.String(36), nullable=True))
            batch.create_foreign_key(op.f(f"fk_{table}_qos_policy_id"), "qos_policies", ["qos_policy_id"], ["id"])
            batch.create_index(op.f(f"ix_{table}_qos_policy_id"), ["qos_policy_id"])


def downgrade() -> None:
    """Remove them."""
    for table in _BOUND:
        with op.batch_alter_table(table) as batch:
            batch.drop_constraint(op.f(f"fk_{table}_qos_policy_id"), type_="foreignkey")
            batch.drop_index(op.f(f"ix_{table}_qos_policy_id"))
            batch.drop_column("qos_policy_id")
    op.drop_table("qos_policies")
