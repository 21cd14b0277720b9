"""What changed in security groups, by revision."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "security_group_changes",
        sa.Column("group_id", sa.String(36), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("port_id", sa.String(36), nullable=False),
        sa.PrimaryKeyConstraint("group_id", "revision", "port_id", name=op.f("pk_security_group_changes")),
        mysql_charset="utf8mb4", mysql_collate="utf8mb4_bin", mysql_engine="InnoDB")


def downgrade() -> None:
    """Remove the table."""
    op.drop_table("security_group_changes")
