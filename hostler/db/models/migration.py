"""A server's way from one host, or one flavor, to another."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from hostler import clock, ids
from hostler.db.models.base import TABLE_OPTIONS, Base, Id


class Migration(Base):
    """One resize, cold or live migration, or evacuation of a server (`hostler.resources.server.migrations`).

    Names and addresses are copied: hosts and flavors may go. Until `ended_at` the migration holds `vcpus` and
    `ram_mib`, the larger of both flavors, of the project's quota; and it is a consumer of its own (by `id`) that holds
    the server's claim on the source host while the server claims its target.
    """

    __tablename__ = "migrations"
    __table_args__ = (
        sa.UniqueConstraint("id"),
        sa.Index("ix_migrations_server", "server_id", "ended_at"),
        sa.Index("ix_migrations_project", "project_id", "ended_at"),
        sa.Index("ix_migrations_created", "created_at", "number"),
        TABLE_OPTIONS,
    )
    number: orm.Mapped[int] = orm.mapped_column(primary_key=True, autoincrement=True)  # the id that old clients know
    id: orm.Mapped[str] = orm.mapped_column(Id, default=ids.new_id)
    server_id: orm.Mapped[str] = orm.mapped_column(Id)
    operation_id: orm.Mapped[str] = orm.mapped_column(Id, index=True)
    project_id: orm.Mapped[str] = orm.mapped_column(Id)
    user_id: orm.Mapped[str | None] = orm.mapped_column(Id)
    type: orm.Mapped[str] = orm.mapped_column(sa.String(16))
    status: orm.Mapped[str] = orm.mapped_column(sa.String(32))
    old_vm_state: orm.Mapped[str] = orm.mapped_column(sa.String(32))
    source_host_id: orm.Mapped[str | None] = orm.mapped_column(Id)
    source_host: orm.Mapped[str | None] = orm.mapped_column(sa.String(255))
    source_node: orm.Mapped[str | None] = orm.mapped_column(sa.String(255))
    dest_host_id: orm.Mapped[str | None] = orm.mapped_column(Id)
    dest_host: orm.Mapped[str | None] = orm.mapped_column(sa.String(255))
    dest_node: orm.Mapped[str | None] = orm.mapped_column(sa.String(255))
    dest_ip: orm.Mapped[str | None] = orm.mapped_column(sa.String(64))
    # As `hostler.resources.server.migrations.flavor_of` writes them.
    old_flavor: orm.Mapped[dict[str, Any]] = orm.mapped_column(default=dict)
    new_flavor: orm.Mapped[dict[str, Any]] = orm.mapped_column(default=dict)
    vcpus: orm.Mapped[int] = orm.mapped_column(default=0)
    ram_mib: orm.Mapped[int] = orm.mapped_column(default=0)
    memory_total_bytes: orm.Mapped[int | None] = orm.mapped_column(sa.BigInteger)
    memory_processed_bytes: orm.Mapped[int | None] = orm.mapped_column(sa.BigInteger)
    memory_remaining_bytes: orm.Mapped[int | None] = orm.mapped_column(sa.BigInteger)
    disk_total_bytes: orm.Mapped[int | None] = orm.mapped_column(sa.BigInteger)
    disk_processed_bytes: orm.Mapped[int | None] = orm.mapped_column(sa.BigInteger)
    disk_remaining_bytes: orm.Mapped[int | None] = orm.mapped_column(sa.BigInteger)
    created_at: orm.Mapped[dt.datetime] = orm.mapped_column(default=clock.utcnow)
    updated_at: orm.Mapped[dt.datetime] = orm.mapped_column(default=clock.utcnow, onupdate=clock.utcnow)
    ended_at: orm.Mapped[dt.datetime | None]
