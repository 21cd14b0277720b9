"""QoS specs, and those that volume types have."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hostler.db.moments import Moment

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table, and the types' column."""
    op.create_table(
        "qos_specs",
        sa.Column("consumer", sa.String(16), nullable=False),
        sa.Column("specs", sa.JSON(), nullable=False),
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("description", sa.String(2048), nullable=True),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("updated_at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_qos_specs")),
        sa.UniqueConstraint("name", name=op.f("uq_qos_specs_name")),
        mysql_charset="utf8mb4", mysql_collate="utf8mb4_bin", mysql_engine="InnoDB")
    with op.batch_alter_table("volume_types") as batch:
        batch.add_column(sa.Column("qos_specs_id", sa.String(36), nullable=True))
        batch.create_foreign_key(op.f("fk_volume_types_qos_specs_id"), "qos_specs", ["qos_specs_id"], ["id"])
        batch.create_index(op.f("ix_volume_types_qos_specs_id"), ["qos_specs_id"])


def downgrade() -> None:
    """Remove them."""
    with op.batch_alter_table("volume_types") as batch:
        batch.drop_constraint(op.f("fk_volume_types_qos_specs_id"), type_="foreignkey")
        batch.drop_index(op.f("ix_volume_types_qos_specs_id"))
        batch.drop_column("qos_specs_id")
    op.drop_table("qos_specs")
