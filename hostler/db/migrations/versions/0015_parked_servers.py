"""Servers that are rescued, shelved or in the trash."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
_COLUMNS = (("rescue_image_id", sa.String(36)), ("shelved_image_id", sa.String(36)), ("parked_at", _MOMENT),
            ("parked_from", sa.String(32)))


def upgrade() -> None:
    """Add the columns."""
    with op.batch_alter_table("servers") as batch:
        for name, kind in _COLUMNS:
            batch.add_column(sa.Column(name, kind, nullable=True))


def downgrade() -> None:
    """Remove the columns."""
    with op.batch_alter_table("servers") as batch:
        for name, _ in reversed(_COLUMNS):
            batch.drop_column(name)
