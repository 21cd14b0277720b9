"""How a server's image is laid out on its disk, as its creator asked (`OS-DCF:diskConfig`)."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    with op.batch_alter_table("servers") as batch:
        batch.add_column(sa.Column("auto_disk_config", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    """Remove the column."""
    with op.batch_alter_table("servers") as batch:
        batch.drop_column("auto_disk_config")
