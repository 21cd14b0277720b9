"""Servers' ways between hosts and flavors: the table `migrations`."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
_PROGRESS = [f"{kind}_{what}_bytes" for kind in ("memory", "disk") for what in ("total", "processed", "remaining")]


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "migrations",
        sa.Column("number", sa.Integer(), autoincrement=True, nullable=False),
        *(sa.Column(name, sa.String(36), nullable=False) for name in ("id", "server_id", "operation_id", "project_id")),
        sa.Column("user_id", sa.String(36), nullable=True),
        sa.Column("type", sa.String(16), nullable=False),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("old_vm_state", sa.String(32), nullable=False),
        *(column for end in ("source", "dest") for column in (
            sa.Column(f"{end}_host_id", sa.String(36), nullable=True),
            sa.Column(f"{end}_host", sa.String(255), nullable=True),
            sa.Column(f"{end}_node", sa.String(255), nullable=True))),
        sa.Column("dest_ip", sa.String(64), nullable=True),
        *(sa.Column(name, sa.JSON(), nullable=False) for name in ("old_flavor", "new_flavor")),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in ("vcpus", "ram_mib")),
        *(sa.Column(name, sa.BigInteger(), nullable=True) for name in _PROGRESS),
        *(sa.Column(name, _MOMENT, nullable=False) for name in ("created_at", "updated_at")),
        sa.Column("ended_at", _MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("number", name="pk_migrations"),
        sa.UniqueConstraint("id", name="uq_migrations_id"),
        mysql_engine="InnoDB", mysql_charset="utf8mb4", mysql_collate="utf8mb4_bin")
    for name, columns in (("server", ["server_id", "ended_at"]), ("project", ["project_id", "ended_at"]),
                          ("created", ["created_at", "number"]), ("operation_id", ["operation_id"])):
        op.create_index(f"ix_migrations_{name}", "migrations", columns)


def downgrade() -> None:
    """Remove the table."""
    op.drop_table("migrations")
