"""Routers and floating IPs."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
_OPTIONS: dict[str, Any] = {"mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin", "mysql_engine": "InnoDB"}


def _id(name: str, *, optional: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.String(36), nullable=optional)


def _resource(*columns: sa.Column[Any]) -> list[sa.Column[Any]]:
    return [_id("id"), sa.Column("name", sa.String(255), nullable=False),
            sa.Column("description", sa.String(2048), nullable=True),
            sa.Column("created_at", _MOMENT, nullable=False), sa.Column("updated_at", _MOMENT, nullable=False),
            _id("project_id"), sa.Column("tags", sa.JSON(), nullable=False),
            sa.Column("revision", sa.Integer(), nullable=False), *columns]


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "routers", *_resource(
            sa.Column("admin_state_up", sa.Boolean(), nullable=False),
            sa.Column("enable_snat", sa.Boolean(), nullable=False), sa.Column("routes", sa.JSON(), nullable=False),
            sa.Column("spec_revision", sa.Integer(), server_default="0", nullable=False)),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_routers")),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_routers_project_id")), **_OPTIONS)
    op.create_index(op.f("ix_routers_project_id"), "routers", ["project_id"])
    op.create_table(
        "router_ports", _id("port_id"), _id("router_id"), sa.Column("role", sa.String(16), nullable=False),
        _id("host_id", optional=True),
        sa.PrimaryKeyConstraint("port_id", name=op.f("pk_router_ports")),
        sa.ForeignKeyConstraint(["port_id"], ["ports.id"], name=op.f("fk_router_ports_port_id")),
        sa.ForeignKeyConstraint(["router_id"], ["routers.id"], name=op.f("fk_router_ports_router_id")),
        sa.ForeignKeyConstraint(["host_id"], ["hosts.id"], name=op.f("fk_router_ports_host_id")),
        sa.UniqueConstraint("router_id", "host_id", name=op.f("uq_router_ports_router_id_host_id")), **_OPTIONS)
    op.create_index(op.f("ix_router_ports_host_id"), "router_ports", ["host_id"])
    op.create_table(
        "floating_ips", *_resource(
            _id("network_id"), sa.Column("address", sa.String(64), nullable=False), _id("public_port_id"),
            _id("port_id", optional=True), sa.Column("fixed_ip_address", sa.String(64), nullable=True),
            _id("router_id", optional=True)),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_floating_ips")),
        *(sa.ForeignKeyConstraint([column], [target], name=op.f(f"fk_floating_ips_{column}")) for column, target in (
            ("project_id", "projects.id"), ("network_id", "networks.id"), ("public_port_id", "ports.id"),
            ("port_id", "ports.id"), ("router_id", "routers.id"))),
        sa.UniqueConstraint("network_id", "address", name=op.f("uq_floating_ips_network_id_address")),
        sa.UniqueConstraint("public_port_id", name=op.f("uq_floating_ips_public_port_id")),
        sa.UniqueConstraint("port_id", "fixed_ip_address", name=op.f("uq_floating_ips_port_id_fixed_ip_address")),
        **_OPTIONS)
    op.create_index(op.f("ix_floating_ips_project_id"), "floating_ips", ["project_id"])
    op.create_index(op.f("ix_floating_ips_router_id"), "floating_ips", ["router_id"])


def downgrade() -> None:
    """Remove the tables."""
    for table in ("floating_ips", "router_ports", "routers"):
        op.drop_table(table)
