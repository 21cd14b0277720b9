"""Subnet pools and address scopes."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from hostler.db.moments import Moment

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def _resource(table: str, *columns: Any) -> None:
    op.create_table(
        table, sa.Column("project_id", sa.String(36), nullable=False), *columns,
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("description", sa.String(2048), nullable=True),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("updated_at", Moment, nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f(f"fk_{table}_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{table}")),
        mysql_charset="utf8mb4", mysql_collate="utf8mb4_bin", mysql_engine="InnoDB")
    op.create_index(op.f(f"ix_{table}_project_id"), table, ["project_id"])


def upgrade() -> None:
    """Add the tables, and the pool that a subnet's block is from."""
    _resource("address_scopes", sa.Column("ip_version", sa.Integer(), nullable=False))
    _resource(
        "subnet_pools",
        sa.Column("address_scope_id", sa.String(36), nullable=True),
        sa.Column("ip_version", sa.Integer(), nullable=False),
        sa.Column("prefixes", sa.JSON(), nullable=False),
        sa.Column("default_prefixlen", sa.Integer(), nullable=False),
        sa.Column("min_prefixlen", sa.Integer(), nullable=False),
        sa.Column("max_prefixlen", sa.Integer(), nullable=False),
        sa.Column("default_quota", sa.Integer(), nullable=True),
        sa.Column("default_of", sa.Integer(), nullable=True),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["address_scope_id"], ["address_scopes.id"],
                                name=op.f("fk_subnet_pools_address_scope_id")),
        sa.UniqueConstraint("default_of", name=op.f("uq_subnet_pools_default_of")))
    op.create_index(op.f("ix_subnet_pools_address_scope_id"), "subnet_pools", ["address_scope_id"])
    with op.batch_alter_table("subnets") as batch:
        batch.add_column(sa.Column("subnetpool_id", sa.String(36), nullable=True))
        batch.create_foreign_key(op.f("fk_subnets_subnetpool_id"), "subnet_pools", ["subnetpool_id"], ["id"])
        batch.create_index(op.f("ix_subnets_subnetpool_id"), ["subnetpool_id"])


def downgrade() -> None:
    """Remove them; subnets keep their blocks."""
    with op.batch_alter_table("subnets") as batch:
        batch.drop_constraint(op.f("fk_subnets_subnetpool_id"), type_="foreignkey")
        batch.drop_index(op.f("ix_subnets_subnetpool_id"))
        batch.drop_column("subnetpool_id")
    op.drop_table("subnet_pools")
    op.drop_table("address_scopes")
