"""Operations that are suspected of killing the conductor run alone, and that is remembered."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    with op.batch_alter_table("operations") as batch:
        batch.add_column(sa.Column("alone", sa.Boolean(), nullable=False, server_default=sa.false()))
        batch.add_column(sa.Column("crashes_alone", sa.Integer(), nullable=False, server_default="0"))


def downgrade() -> None:
    """Remove them."""
    with op.batch_alter_table("operations") as batch:
        batch.drop_column("crashes_alone")
        batch.drop_column("alone")
