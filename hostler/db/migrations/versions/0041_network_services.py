"""Who gives a network's DHCP, DNS and metadata."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0041"
down_revision = "0038"
branch_labels = None
depends_on = None

_COLUMNS = ("dhcp_provider", "dns_provider", "userdata_provider")


def upgrade() -> None:
    """Add the columns: each host does."""
    with op.batch_alter_table("networks") as batch:
        for name in _COLUMNS:
            batch.add_column(sa.Column(name, sa.String(32), server_default="Flat", nullable=True))


def downgrade() -> None:
    """Remove them."""
    with op.batch_alter_table("networks") as batch:
        for name in _COLUMNS:
            batch.drop_column(name)
