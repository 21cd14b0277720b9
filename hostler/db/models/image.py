"""Images, their tags and the projects they are shared with."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from hostler import clock
from hostler.db.models.base import TABLE_OPTIONS, Base, Id, Resource, relation


class Image(Resource, Base):
    """An image's record; its bytes are in the store under `sha256`."""

    __tablename__ = "images"
    __table_args__ = (sa.Index("ix_images_list", "deleted_at", "created_at", "id"), TABLE_OPTIONS)
    project_id: orm.Mapped[str | None] = relation("projects.id", kind="parent", on_delete="cascade")
    status: orm.Mapped[str] = orm.mapped_column(sa.String(32), default="queued")
    visibility: orm.Mapped[str] = orm.mapped_column(sa.String(16), default="shared")
    protected: orm.Mapped[bool] = orm.mapped_column(default=False)
    os_hidden: orm.Mapped[bool] = orm.mapped_column(default=False)
    disk_format: orm.Mapped[str | None] = orm.mapped_column(sa.String(32))
    container_format: orm.Mapped[str | None] = orm.mapped_column(sa.String(32))
    min_disk_gib: orm.Mapped[int] = orm.mapped_column(default=0)
    min_ram_mib: orm.Mapped[int] = orm.mapped_column(default=0)
    size_bytes: orm.Mapped[int | None] = orm.mapped_column(sa.BigInteger)
    claimed_bytes: orm.Mapped[int | None] = orm.mapped_column(sa.BigInteger)  # of the quota, until it has a size
    virtual_size_bytes: orm.Mapped[int | None] = orm.mapped_column(sa.BigInteger)
    md5: orm.Mapped[str | None] = orm.mapped_column(sa.String(32))
    sha256: orm.Mapped[str | None] = orm.mapped_column(sa.String(64), index=True)
    sha512: orm.Mapped[str | None] = orm.mapped_column(sa.String(128))
    properties: orm.Mapped[dict[str, Any]] = orm.mapped_column(default=dict)
    deleted_at: orm.Mapped[dt.datetime | None]


class ImageTag(Base):
    """A tag of an image."""

    __tablename__ = "image_tags"
    image_id: orm.Mapped[str] = orm.mapped_column(
        Id, sa.ForeignKey("images.id"), primary_key=True, info={"relation": "parent", "on_delete": "cascade"})
    tag: orm.Mapped[str] = orm.mapped_column(sa.String(255), primary_key=True, index=True)


class ImageMember(Base):
    """A project an image is shared with, and whether it took it (pending, accepted, rejected)."""

    __tablename__ = "image_members"
    image_id: orm.Mapped[str] = orm.mapped_column(
        Id, sa.ForeignKey("images.id"), primary_key=True, info={"relation": "parent", "on_delete": "cascade"})
    project_id: orm.Mapped[str] = orm.mapped_column(Id, primary_key=True, index=True)
    status: orm.Mapped[str] = orm.mapped_column(sa.String(16), default="pending")
    created_at: orm.Mapped[dt.datetime] = orm.mapped_column(default=clock.utcnow)
    updated_at: orm.Mapped[dt.datetime] = orm.mapped_column(default=clock.utcnow, onupdate=clock.utcnow)
