"""Tokens of consoles."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

_MOMENT = (sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mariadb")
           .with_variant(mysql.DATETIME(fsp=6), "mysql"))


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "console_tokens",
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("server_id", sa.String(36), nullable=False),
        sa.Column("host_id", sa.String(36), nullable=False),
        sa.Column("project_id", sa.String(36), nullable=True),
        sa.Column("user_id", sa.String(36), nullable=True),
        sa.Column("protocol", sa.String(16), nullable=False),
        sa.Column("address", sa.String(255), nullable=False),
        sa.Column("port", sa.Integer(), nullable=False),
        sa.Column("access_path", sa.String(255), nullable=False),
        sa.Column("expires_at", _MOMENT, nullable=False),
        sa.Column("used_at", _MOMENT, nullable=True),
        sa.Column("used_from", sa.String(64), nullable=True),
        sa.ForeignKeyConstraint(["server_id"], ["servers.id"], name=op.f("fk_console_tokens_server_id")),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_console_tokens")),
        mysql_charset="utf8mb4", mysql_collate="utf8mb4_bin", mysql_engine="InnoDB")
    op.create_index(op.f("ix_console_tokens_server_id"), "console_tokens", ["server_id"], unique=False)
    op.create_index(op.f("ix_console_tokens_expires_at"), "console_tokens", ["expires_at"], unique=False)


def downgrade() -> None:
    """Remove the table."""
    op.drop_table("console_tokens")
