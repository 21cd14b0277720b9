"""Which is newer: a revision of what hosts are sent about servers, ports and the members of security groups."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_COLUMNS = (("servers", "revision"), ("servers", "guest_revision"), ("ports", "spec_revision"),
            ("security_groups", "members_revision"))


def upgrade() -> None:
    """Add the columns."""
    for table, column in _COLUMNS:
        with op.batch_alter_table(table) as batch:
            batch.add_column(sa.Column(column, sa.Integer(), nullable=False, server_default="0"))


def downgrade() -> None:
    """Remove the columns."""
    for table, column in reversed(_COLUMNS):
        with op.batch_alter_table(table) as batch:
            batch.drop_column(column)
