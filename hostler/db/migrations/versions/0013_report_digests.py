"""What tells whether a host's report says anything new."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    with op.batch_alter_table("hosts") as batch:
        batch.add_column(sa.Column("report_digest", sa.String(32), nullable=False, server_default=""))


def downgrade() -> None:
    """Remove the column."""
    with op.batch_alter_table("hosts") as batch:
        batch.drop_column("report_digest")
