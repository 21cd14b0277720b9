"""What is in a server's CD-ROM drive."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    with op.batch_alter_table("servers") as batch:
        batch.add_column(sa.Column("iso_image_id", sa.String(36), nullable=True))


def downgrade() -> None:
    """Drop it."""
    with op.batch_alter_table("servers") as batch:
        batch.drop_column("iso_image_id")
