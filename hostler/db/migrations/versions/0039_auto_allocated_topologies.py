"""Which network and router are a project's auto-allocated topology."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0039"
down_revision = "0037"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    for table in ("networks", "routers"):
        with op.batch_alter_table(table) as batch:
            batch.add_column(sa.Column("auto_of", sa.String(36), nullable=True))
            batch.create_unique_constraint(op.f(f"uq_{table}_auto_of"), ["auto_of"])


def downgrade() -> None:
    """Remove them; what was made stays as ordinary networks and routers."""
    for table in ("routers", "networks"):
        with op.batch_alter_table(table) as batch:
            batch.drop_constraint(op.f(f"uq_{table}_auto_of"), type_="unique")
            batch.drop_column("auto_of")
