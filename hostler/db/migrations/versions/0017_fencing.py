"""How a host's guests are kept from disks that others take over."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    with op.batch_alter_table("hosts") as batch:
        batch.add_column(sa.Column("fence_generation", sa.Integer(), nullable=False, server_default="0"))
        batch.add_column(sa.Column("self_fence_s", sa.Integer(), nullable=False, server_default="0"))
        batch.add_column(sa.Column("servers_share", sa.String(36), nullable=True))


def downgrade() -> None:
    """Remove the columns."""
    with op.batch_alter_table("hosts") as batch:
        for column in ("servers_share", "self_fence_s", "fence_generation"):
            batch.drop_column(column)
