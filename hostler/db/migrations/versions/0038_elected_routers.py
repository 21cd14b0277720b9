"""Whether each host leads outside for a router, or one."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0038"
down_revision = "0039"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    with op.batch_alter_table("routers") as batch:
        batch.add_column(sa.Column("distributed", sa.Boolean(), server_default=sa.true(), nullable=False))


def downgrade() -> None:
    """Remove it."""
    with op.batch_alter_table("routers") as batch:
        batch.drop_column("distributed")
