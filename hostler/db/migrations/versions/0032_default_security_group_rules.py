"""The rules that new security groups start with."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hostler import clock, ids
from hostler.db.moments import Moment

revision = "0032"
down_revision = "0035"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table, with the rules that groups had until now."""
    table = op.create_table(
        "default_security_group_rules",
        sa.Column("direction", sa.String(16), nullable=False),
        sa.Column("ethertype", sa.String(8), nullable=False),
        sa.Column("protocol", sa.String(32), nullable=True),
        sa.Column("port_min", sa.Integer(), nullable=True),
        sa.Column("port_max", sa.Integer(), nullable=True),
        sa.Column("remote_ip_prefix", sa.String(64), nullable=True),
        sa.Column("remote_group_id", sa.String(36), nullable=True),
        sa.Column("remote_address_group_id", sa.String(36), nullable=True),
        sa.Column("used_in_default_sg", sa.Boolean(), nullable=False),
        sa.Column("used_in_non_default_sg", sa.Boolean(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("description", sa.String(2048), nullable=True),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("updated_at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_default_security_group_rules")),
        mysql_charset="utf8mb4", mysql_collate="utf8mb4_bin", mysql_engine="InnoDB")
    moment = clock.utcnow()
    op.bulk_insert(table, [
        {"id": ids.new_id(), "name": "", "description": "", "created_at": moment, "updated_at": moment, "revision": 0,
         "direction": direction, "ethertype": ethertype, "remote_group_id": remote, "used_in_default_sg": True,
         "used_in_non_default_sg": remote is None}
        for direction, remote in (("egress", None), ("ingress", "PARENT")) for ethertype in ("IPv4", "IPv6")])


def downgrade() -> None:
    """Remove it."""
    op.drop_table("default_security_group_rules")
