"""How many bytes an image's data has claimed of its owner's quota while it is on its way."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    with op.batch_alter_table("images") as batch:
        batch.add_column(sa.Column("claimed_bytes", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    """Remove it."""
    with op.batch_alter_table("images") as batch:
        batch.drop_column("claimed_bytes")
