"""What users choose of their servers' hardware: boot order and processor mode."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    with op.batch_alter_table("servers") as batch:
        batch.add_column(sa.Column("boot_order", sa.JSON(), nullable=True))
        batch.add_column(sa.Column("cpu_mode", sa.String(32), nullable=True))


def downgrade() -> None:
    """Drop them."""
    with op.batch_alter_table("servers") as batch:
        batch.drop_column("cpu_mode")
        batch.drop_column("boot_order")
