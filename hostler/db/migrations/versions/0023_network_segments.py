"""What networks are made of, and where hosts of one network reach each other."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    with op.batch_alter_table("networks") as batch:
        batch.add_column(sa.Column("segment", sa.String(128), nullable=True))
        batch.add_column(sa.Column("peers_revision", sa.Integer(), nullable=False, server_default="0"))
        batch.create_unique_constraint(op.f("uq_networks_segment"), ["segment"])
    with op.batch_alter_table("hosts") as batch:
        batch.add_column(sa.Column("tunnel_ip", sa.String(64), nullable=False, server_default=""))


def downgrade() -> None:
    """Remove the columns."""
    with op.batch_alter_table("hosts") as batch:
        batch.drop_column("tunnel_ip")
    with op.batch_alter_table("networks") as batch:
        batch.drop_constraint(op.f("uq_networks_segment"), type_="unique")
        for column in ("peers_revision", "segment"):
            batch.drop_column(column)
