"""Flavors, key pairs, servers and server groups."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from hostler.db.models.base import TABLE_OPTIONS, Base, Id, LongText, Name, Resource, relation


class Flavor(Resource, Base):
    """An instance offering. `flavorid` is the id users see (any text); servers keep a copy of its sizes."""

    __tablename__ = "flavors"
    __table_args__ = (sa.UniqueConstraint("flavorid"), sa.UniqueConstraint("name"), TABLE_OPTIONS)
    flavorid: orm.Mapped[str] = orm.mapped_column(Name)
    vcpus: orm.Mapped[int]
    ram_mib: orm.Mapped[int]
    root_gib: orm.Mapped[int]
    ephemeral_gib: orm.Mapped[int] = orm.mapped_column(default=0)
    swap_mib: orm.Mapped[int] = orm.mapped_column(default=0)
    rxtx_factor: orm.Mapped[float] = orm.mapped_column(default=1.0)
    is_public: orm.Mapped[bool] = orm.mapped_column(default=True)
    disabled: orm.Mapped[bool] = orm.mapped_column(default=False)
    extra_specs: orm.Mapped[dict[str, Any]] = orm.mapped_column(default=dict)


class FlavorAccess(Base):
    """A project that may use a flavor that is not public."""

    __tablename__ = "flavor_access"
    flavor_id: orm.Mapped[str] = orm.mapped_column(
        Id, sa.ForeignKey("flavors.id"), primary_key=True, info={"relation": "parent", "on_delete": "cascade"})
    project_id: orm.Mapped[str] = orm.mapped_column(Id, primary_key=True)


class KeyPair(Resource, Base):
    """A user's public key."""

    __tablename__ = "keypairs"
    __table_args__ = (sa.UniqueConstraint("user_id", "name"), TABLE_OPTIONS)
    user_id: orm.Mapped[str] = relation("users.id", kind="parent", on_delete="cascade")
    number: orm.Mapped[int] = orm.mapped_column(default=0)
    type: orm.Mapped[str] = orm.mapped_column(sa.String(16), default="ssh")
    public_key: orm.Mapped[str] = orm.mapped_column(sa.Text)
    fingerprint: orm.Mapped[str] = orm.mapped_column(sa.String(255))


_LIVE: dict[str, Any] = {"postgresql_where": sa.text("deleted_at IS NULL"),
                         "sqlite_where": sa.text("deleted_at IS NULL")}


class Server(Resource, Base):
    """A virtual machine. What it is doing is not here: that is its lock's operation.

    The flavor's sizes are copied, so that a flavor may change or go. `deleted_at` keeps the row for `changes-since`
    and its actions until it is purged.
    """

    __tablename__ = "servers"
    __table_args__ = (
        # The lists' order, for what is not deleted: PostgreSQL would sort every row after `deleted_at IS NULL`.
        sa.Index("ix_servers_project_live", "project_id", "created_at", "id", **_LIVE),
        sa.Index("ix_servers_live", "created_at", "id", **_LIVE),
        sa.Index("ix_servers_quota", "project_id", "deleted_at", "vcpus", "ram_mib"),
        sa.Index("ix_servers_changes", "updated_at"),
        TABLE_OPTIONS,
    )
    project_id: orm.Mapped[str] = relation("projects.id", kind="parent", on_delete="cascade", index=False)
    user_id: orm.Mapped[str] = orm.mapped_column(Id)
    hostname: orm.Mapped[str] = orm.mapped_column(Name, default="")
    vm_state: orm.Mapped[str] = orm.mapped_column(sa.String(32))
    power_state: orm.Mapped[str] = orm.mapped_column(sa.String(16), default="nostate")
    host_id: orm.Mapped[str | None] = relation("hosts.id", kind="friend", on_delete="cascade")
    last_host_id: orm.Mapped[str | None] = orm.mapped_column(Id)
    requested_zone: orm.Mapped[str | None] = orm.mapped_column(sa.String(255))
    requested_host: orm.Mapped[str | None] = orm.mapped_column(sa.String(255))
    flavor_id: orm.Mapped[str] = orm.mapped_column(Id)
    flavor: orm.Mapped[dict[str, Any]] = orm.mapped_column(default=dict)  # flavorid, name, disabled, extra_specs, …
    vcpus: orm.Mapped[int]
    ram_mib: orm.Mapped[int]
    root_gib: orm.Mapped[int]
    ephemeral_gib: orm.Mapped[int] = orm.mapped_column(default=0)
    swap_mib: orm.Mapped[int] = orm.mapped_column(default=0)
    image_id: orm.Mapped[str | None] = relation("images.id", kind="friend", on_delete="clear")
    image_properties: orm.Mapped[dict[str, Any]] = orm.mapped_column(default=dict)
    rescue_image_id: orm.Mapped[str | None] = orm.mapped_column(Id)  # while it is rescued
    shelved_image_id: orm.Mapped[str | None] = orm.mapped_column(Id)  # while it is shelved: what its disk is in
    iso_image_id: orm.Mapped[str | None] = orm.mapped_column(Id)  # what is in its CD-ROM drive
    # Since when it is shelved or in the trash, and, in the trash, the state that `restore` brings back.
    parked_at: orm.Mapped[dt.datetime | None]
    parked_from: orm.Mapped[str | None] = orm.mapped_column(sa.String(32))
    key_name: orm.Mapped[str | None] = orm.mapped_column(sa.String(255))
    public_key: orm.Mapped[str | None] = orm.mapped_column(sa.Text)
    user_data: orm.Mapped[str | None] = orm.mapped_column(LongText)
    config_drive: orm.Mapped[bool] = orm.mapped_column(default=False)
    # What its user chose of its hardware; None: as its host is configured. See `hostler.resources.server.hardware`.
    boot_order: orm.Mapped[list[str] | None] = orm.mapped_column(sa.JSON)
    cpu_mode: orm.Mapped[str | None] = orm.mapped_column(sa.String(32))
    # What the guest posted to its metadata service: its password, encrypted with the user's key.
    encrypted_password: orm.Mapped[str | None] = orm.mapped_column(sa.Text)
    auto_disk_config: orm.Mapped[bool] = orm.mapped_column(default=False, server_default=sa.false())
    # See `hostler.resources.revisions`.
    revision: orm.Mapped[int] = orm.mapped_column(default=0, server_default="0")
    guest_revision: orm.Mapped[int] = orm.mapped_column(default=0, server_default="0")
    # Of the last event taken from its host (`conductor.guest_reports`).
    event_number: orm.Mapped[int] = orm.mapped_column(sa.BigInteger, default=0, server_default="0")
    access_ip_v4: orm.Mapped[str | None] = orm.mapped_column(sa.String(64))
    access_ip_v6: orm.Mapped[str | None] = orm.mapped_column(sa.String(64))
    extra: orm.Mapped[dict[str, Any]] = orm.mapped_column("metadata", default=dict)
    scheduler_hints: orm.Mapped[dict[str, Any]] = orm.mapped_column(default=dict)
    reservation_id: orm.Mapped[str] = orm.mapped_column(sa.String(32), default="", index=True)
    launch_index: orm.Mapped[int] = orm.mapped_column(default=0)
    launched_at: orm.Mapped[dt.datetime | None]
    deleted_at: orm.Mapped[dt.datetime | None]
    locked: orm.Mapped[bool] = orm.mapped_column(default=False)
    locked_reason: orm.Mapped[str | None] = orm.mapped_column(sa.String(255))
    fault: orm.Mapped[dict[str, Any] | None] = orm.mapped_column(sa.JSON)  # code, message, details, created


class ServerTag(Base):
    """A tag of a server."""

    __tablename__ = "server_tags"
    server_id: orm.Mapped[str] = orm.mapped_column(
        Id, sa.ForeignKey("servers.id"), primary_key=True, info={"relation": "parent", "on_delete": "cascade"})
    tag: orm.Mapped[str] = orm.mapped_column(sa.String(60), primary_key=True, index=True)


class ServerGroup(Resource, Base):
    """Servers to be placed together or apart."""

    __tablename__ = "server_groups"
    project_id: orm.Mapped[str] = relation("projects.id", kind="parent", on_delete="cascade")
    user_id: orm.Mapped[str] = orm.mapped_column(Id)
    policy: orm.Mapped[str] = orm.mapped_column(sa.String(64))
    rules: orm.Mapped[dict[str, Any]] = orm.mapped_column(default=dict)
    on_host_failure: orm.Mapped[str | None] = orm.mapped_column(sa.String(16))  # of `host_failure.CHOICES`


class ServerGroupMember(Base):
    """A server's membership in a group."""

    __tablename__ = "server_group_members"
    group_id: orm.Mapped[str] = orm.mapped_column(
        Id, sa.ForeignKey("server_groups.id"), primary_key=True, info={"relation": "parent", "on_delete": "cascade"})
    server_id: orm.Mapped[str] = orm.mapped_column(
        Id, sa.ForeignKey("servers.id"), primary_key=True, index=True,
        info={"relation": "parent", "on_delete": "cascade"})


