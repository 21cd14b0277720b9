"""What administrators say of a port's binding: a host, and a profile."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0036"
down_revision = "0032"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    with op.batch_alter_table("ports") as batch:
        batch.add_column(sa.Column("requested_host", sa.String(255), nullable=True))
        batch.add_column(sa.Column("binding_profile", sa.JSON(), nullable=True))


def downgrade() -> None:
    """Remove them."""
    with op.batch_alter_table("ports") as batch:
        batch.drop_column("binding_profile")
        batch.drop_column("requested_host")
