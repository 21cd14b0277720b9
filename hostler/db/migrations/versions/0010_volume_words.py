"""What a volume says of its last migration, and whether somebody set it read-only or writable."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    with op.batch_alter_table("volumes") as batch:
        batch.add_column(sa.Column("migration_status", sa.String(32), nullable=True))
        batch.add_column(sa.Column("readonly_set", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    """Remove them."""
    with op.batch_alter_table("volumes") as batch:
        batch.drop_column("readonly_set")
        batch.drop_column("migration_status")
