"""The tag of a server's NIC, and the encrypted password that a guest posted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    with op.batch_alter_table("ports") as batch:
        batch.add_column(sa.Column("device_tag", sa.String(60), nullable=True))
    with op.batch_alter_table("servers") as batch:
        batch.add_column(sa.Column("encrypted_password", sa.Text(), nullable=True))


def downgrade() -> None:
    """Remove the columns."""
    with op.batch_alter_table("servers") as batch:
        batch.drop_column("encrypted_password")
    with op.batch_alter_table("ports") as batch:
        batch.drop_column("device_tag")
