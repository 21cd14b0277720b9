"""What becomes of a server group's servers when their host fails."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    with op.batch_alter_table("server_groups") as batch:
        batch.add_column(sa.Column("on_host_failure", sa.String(16), nullable=True))


def downgrade() -> None:
    """Remove the column."""
    with op.batch_alter_table("server_groups") as batch:
        batch.drop_column("on_host_failure")
