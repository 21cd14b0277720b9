"""Volumes and what hangs on them: types, nodes and back ends, snapshots, attachments, backups, transfers."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.ext import hybrid

from hostler import clock
from hostler.db.models.base import TABLE_OPTIONS, Base, Id, Name, Resource, relation

_LIVE: dict[str, Any] = {"postgresql_where": sa.text("deleted_at IS NULL"),
                         "sqlite_where": sa.text("deleted_at IS NULL")}


class QosSpecs(Resource, Base):
    """How fast volumes of the types that name it may be; `consumer` says who sees to it (`resources.volume.qos`)."""

    __tablename__ = "qos_specs"
    __table_args__ = (sa.UniqueConstraint("name"), TABLE_OPTIONS)
    consumer: orm.Mapped[str] = orm.mapped_column(sa.String(16))
    specs: orm.Mapped[dict[str, Any]] = orm.mapped_column(default=dict)


class VolumeType(Resource, Base):
    """A disk offering: extra specs say which back ends may hold such a volume."""

    __tablename__ = "volume_types"
    __table_args__ = (sa.UniqueConstraint("name"), TABLE_OPTIONS)
    is_public: orm.Mapped[bool] = orm.mapped_column(default=True)
    extra_specs: orm.Mapped[dict[str, Any]] = orm.mapped_column(default=dict)
    qos_specs_id: orm.Mapped[str | None] = relation("qos_specs.id", kind="friend", on_delete="clear", nullable=True)


class VolumeTypeAccess(Base):
    """A project that may use a volume type that is not public."""

    __tablename__ = "volume_type_access"
    volume_type_id: orm.Mapped[str] = orm.mapped_column(
        Id, sa.ForeignKey("volume_types.id"), primary_key=True, info={"relation": "parent", "on_delete": "cascade"})
    project_id: orm.Mapped[str] = orm.mapped_column(Id, primary_key=True)


class VolumeNode(Resource, Base):
    """A storage node: one volume agent, as last reported."""

    __tablename__ = "volume_nodes"
    __table_args__ = (sa.UniqueConstraint("name"), TABLE_OPTIONS)
    zone_id: orm.Mapped[str] = relation("zones.id", kind="parent", on_delete="cascade")
    enabled: orm.Mapped[bool] = orm.mapped_column(default=True)
    disabled_reason: orm.Mapped[str | None] = orm.mapped_column(sa.String(255))
    # The identity of the backup store this node reaches; nodes that share a directory report the same.
    backup_store: orm.Mapped[str | None] = orm.mapped_column(Id)
    started_at: orm.Mapped[dt.datetime | None]
    last_seen_at: orm.Mapped[dt.datetime | None]


class Backend(Resource, Base):
    """A place volumes live in, with one pool: a directory, an RBD pool. `generation` grows with every claim.

    Use is not here: it is the sum of the volumes (and snapshots) that name the back end.
    """

    __tablename__ = "backends"
    __table_args__ = (sa.UniqueConstraint("node_id", "name"), TABLE_OPTIONS)
    node_id: orm.Mapped[str] = relation("volume_nodes.id", kind="parent", on_delete="cascade")
    driver: orm.Mapped[str] = orm.mapped_column(sa.String(64))
    capabilities: orm.Mapped[dict[str, Any]] = orm.mapped_column(default=dict)
    total_gib: orm.Mapped[float] = orm.mapped_column(default=0.0)
    free_gib: orm.Mapped[float] = orm.mapped_column(default=0.0)
    reserved_percent: orm.Mapped[int] = orm.mapped_column(default=0)
    over_subscription: orm.Mapped[float] = orm.mapped_column(default=1.0)
    enabled: orm.Mapped[bool] = orm.mapped_column(default=True)  # as an administrator wants it; see its node's, too
    disabled_reason: orm.Mapped[str | None] = orm.mapped_column(sa.String(255))
    healthy: orm.Mapped[bool] = orm.mapped_column(default=True)
    unhealthy_reason: orm.Mapped[str | None] = orm.mapped_column(sa.String(255))
    generation: orm.Mapped[int] = orm.mapped_column(default=0)


class Volume(Resource, Base):
    """A block device that outlives servers. What it is doing is not here: see `hostler.resources.volume.states`.

    `claimed_gib` is what quota and capacity count: `size_gib`, but for the time of an extension the size to come.
    `target_backend_id` is claimed, too, while the volume moves there. `provider` is the driver's own memory.
    """

    __tablename__ = "volumes"
    __table_args__ = (
        sa.Index("ix_volumes_project_live", "project_id", "created_at", "id", **_LIVE),
        sa.Index("ix_volumes_live", "created_at", "id", **_LIVE),
        sa.Index("ix_volumes_quota", "project_id", "deleted_at", "volume_type_id", "claimed_gib"),
        sa.Index("ix_volumes_capacity", "backend_id", "deleted_at", "claimed_gib"),
        TABLE_OPTIONS,
    )
    project_id: orm.Mapped[str] = relation("projects.id", kind="parent", on_delete="cascade", index=False)
    user_id: orm.Mapped[str] = orm.mapped_column(Id)
    state: orm.Mapped[str] = orm.mapped_column(sa.String(32))
    size_gib: orm.Mapped[int]
    claimed_gib: orm.Mapped[int]
    zone: orm.Mapped[str] = orm.mapped_column(sa.String(255))
    backend_id: orm.Mapped[str | None] = relation("backends.id", kind="friend", on_delete="restrict", index=False)
    target_backend_id: orm.Mapped[str | None] = relation("backends.id", kind="friend", on_delete="restrict")
    volume_type_id: orm.Mapped[str | None] = relation("volume_types.id", kind="friend", on_delete="restrict")
    snapshot_id: orm.Mapped[str | None] = orm.mapped_column(Id, index=True)  # what it was made from, also when gone
    source_volume_id: orm.Mapped[str | None] = orm.mapped_column(Id, index=True)
    image_id: orm.Mapped[str | None] = orm.mapped_column(Id)
    backup_id: orm.Mapped[str | None] = orm.mapped_column(Id)
    bootable: orm.Mapped[bool] = orm.mapped_column(default=False)
    multiattach: orm.Mapped[bool] = orm.mapped_column(default=False)
    readonly: orm.Mapped[bool] = orm.mapped_column(default=False)
    readonly_set: orm.Mapped[bool] = orm.mapped_column(default=False, server_default=sa.false())  # by somebody, ever
    migration_status: orm.Mapped[str | None] = orm.mapped_column(sa.String(32))  # how the last one ended
    extra: orm.Mapped[dict[str, Any]] = orm.mapped_column("metadata", default=dict)
    image_metadata: orm.Mapped[dict[str, Any]] = orm.mapped_column(default=dict)
    scheduler_hints: orm.Mapped[dict[str, Any]] = orm.mapped_column(default=dict)
    provider: orm.Mapped[dict[str, Any]] = orm.mapped_column(default=dict)
    fault: orm.Mapped[dict[str, Any] | None] = orm.mapped_column(sa.JSON)  # message, details, created
    launched_at: orm.Mapped[dt.datetime | None]
    deleted_at: orm.Mapped[dt.datetime | None] = orm.mapped_column(index=True)


class Snapshot(Resource, Base):
    """A volume as it was; lives on its volume's back end and counts there with its size.

    `volume_record`: see `hostler.resources.volume.volume_record`.
    """

    __tablename__ = "snapshots"
    __table_args__ = (sa.Index("ix_snapshots_quota", "project_id", "deleted_at", "size_gib"), TABLE_OPTIONS)
    project_id: orm.Mapped[str] = relation("projects.id", kind="parent", on_delete="cascade", index=False)
    user_id: orm.Mapped[str] = orm.mapped_column(Id)
    volume_id: orm.Mapped[str] = relation("volumes.id", kind="parent", on_delete="restrict")
    state: orm.Mapped[str] = orm.mapped_column(sa.String(32))
    size_gib: orm.Mapped[int]
    extra: orm.Mapped[dict[str, Any]] = orm.mapped_column("metadata", default=dict)
    provider: orm.Mapped[dict[str, Any]] = orm.mapped_column(default=dict)
    volume_record: orm.Mapped[dict[str, Any] | None] = orm.mapped_column(sa.JSON)
    fault: orm.Mapped[dict[str, Any] | None] = orm.mapped_column(sa.JSON)
    deleted_at: orm.Mapped[dt.datetime | None] = orm.mapped_column(index=True)


class VolumeAttachment(Base):
    """A volume in a server (or with a caller's own connector). The row is the reservation; it is removed by detaching.

    `connection` is what the host needs to reach the volume, as the volume agent said; it may hold secrets. The agent
    knows it by `connected_as`: the attachment's id, or another since a live migration, during which both hosts are
    connected.
    """

    __tablename__ = "volume_attachments"
    __table_args__ = (sa.UniqueConstraint("volume_id", "server_id"), TABLE_OPTIONS)
    id: orm.Mapped[str] = orm.mapped_column(Id, primary_key=True)
    volume_id: orm.Mapped[str] = relation("volumes.id", kind="parent", on_delete="cascade", index=False)
    server_id: orm.Mapped[str | None] = relation("servers.id", kind="friend", on_delete="cascade", nullable=True)
    state: orm.Mapped[str] = orm.mapped_column(sa.String(16))  # volume_states.RESERVED or ATTACHED
    mode: orm.Mapped[str] = orm.mapped_column(sa.String(2), default="rw")
    device: orm.Mapped[str | None] = orm.mapped_column(sa.String(64))  # the guest's name for it: vdb
    boot_index: orm.Mapped[int | None]
    delete_on_termination: orm.Mapped[bool] = orm.mapped_column(default=False)
    tag: orm.Mapped[str | None] = orm.mapped_column(sa.String(255))
    connector: orm.Mapped[dict[str, Any]] = orm.mapped_column(default=dict)
    connection: orm.Mapped[dict[str, Any]] = orm.mapped_column(default=dict)
    connection_id: orm.Mapped[str | None] = orm.mapped_column(Id)
    created_at: orm.Mapped[dt.datetime] = orm.mapped_column(default=clock.utcnow)
    attached_at: orm.Mapped[dt.datetime | None]

    @hybrid.hybrid_property
    def connected_as(self) -> str:
        """The id of its connection at the storage node."""
        return self.connection_id or self.id

    @connected_as.inplace.expression
    @classmethod
    def _connected_as(cls) -> sa.ColumnElement[str]:
        return sa.func.coalesce(cls.connection_id, cls.id)


class Backup(Resource, Base):
    """A volume's content in a backup store; an incremental one holds what changed since its parent.

    `volume_record`: see `hostler.resources.volume.volume_record`.
    """

    __tablename__ = "backups"
    __table_args__ = (sa.Index("ix_backups_quota", "project_id", "deleted_at", "size_gib"), TABLE_OPTIONS)
    project_id: orm.Mapped[str] = relation("projects.id", kind="parent", on_delete="cascade", index=False)
    user_id: orm.Mapped[str] = orm.mapped_column(Id)
    volume_id: orm.Mapped[str | None] = orm.mapped_column(Id, index=True)  # the volume may be gone
    snapshot_id: orm.Mapped[str | None] = orm.mapped_column(Id)
    parent_id: orm.Mapped[str | None] = relation("backups.id", kind="parent", on_delete="restrict", nullable=True)
    state: orm.Mapped[str] = orm.mapped_column(sa.String(32))
    size_gib: orm.Mapped[int]
    stored_bytes: orm.Mapped[int | None] = orm.mapped_column(sa.BigInteger)
    object_count: orm.Mapped[int] = orm.mapped_column(default=0)
    store: orm.Mapped[str | None] = orm.mapped_column(Id)  # VolumeNode.backup_store that holds it
    node: orm.Mapped[str | None] = orm.mapped_column(Name)  # the node that made it, for people
    zone: orm.Mapped[str | None] = orm.mapped_column(sa.String(255))
    container: orm.Mapped[str | None] = orm.mapped_column(sa.String(255))
    data_at: orm.Mapped[dt.datetime | None]  # the moment whose content it holds
    extra: orm.Mapped[dict[str, Any]] = orm.mapped_column("metadata", default=dict)
    volume_record: orm.Mapped[dict[str, Any] | None] = orm.mapped_column(sa.JSON)
    fault: orm.Mapped[dict[str, Any] | None] = orm.mapped_column(sa.JSON)
    deleted_at: orm.Mapped[dt.datetime | None] = orm.mapped_column(index=True)


class VolumeTransfer(Resource, Base):
    """A volume offered to anyone who has the key; the row is removed when it is accepted or withdrawn."""

    __tablename__ = "volume_transfers"
    __table_args__ = (sa.UniqueConstraint("volume_id"), TABLE_OPTIONS)
    volume_id: orm.Mapped[str] = relation("volumes.id", kind="parent", on_delete="cascade", index=False)
    project_id: orm.Mapped[str] = relation("projects.id", kind="parent", on_delete="cascade")
    salt: orm.Mapped[str] = orm.mapped_column(sa.String(64))
    key_hash: orm.Mapped[str] = orm.mapped_column(sa.String(128))
    with_snapshots: orm.Mapped[bool] = orm.mapped_column(default=True)
