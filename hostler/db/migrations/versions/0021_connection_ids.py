"""Which connection of its storage node an attachment has."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("volume_attachments", sa.Column("connection_id", sa.String(36)))


def downgrade() -> None:
    """Remove the column."""
    op.drop_column("volume_attachments", "connection_id")
