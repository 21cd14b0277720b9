"""The tokens of consoles."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa
from sqlalchemy import orm

from hostler.db.models.base import Base, Id, relation


class ConsoleToken(Base):
    """A right to open one console, known by the digest of its token.

    It ends when it is used or expires, and when its server is deleted or leaves `host_id`.
    """

    __tablename__ = "console_tokens"
    digest: orm.Mapped[str] = orm.mapped_column(sa.String(64), primary_key=True)  # SHA-256 in hexadecimal
    server_id: orm.Mapped[str] = relation("servers.id", kind="parent", on_delete="cascade")
    host_id: orm.Mapped[str] = orm.mapped_column(Id)
    project_id: orm.Mapped[str | None] = orm.mapped_column(Id)
    user_id: orm.Mapped[str | None] = orm.mapped_column(Id)
    protocol: orm.Mapped[str] = orm.mapped_column(sa.String(16))
    address: orm.Mapped[str] = orm.mapped_column(sa.String(255))
    port: orm.Mapped[int]
    access_path: orm.Mapped[str] = orm.mapped_column(sa.String(255))
    expires_at: orm.Mapped[dt.datetime] = orm.mapped_column(index=True)
    used_at: orm.Mapped[dt.datetime | None]
    used_from: orm.Mapped[str | None] = orm.mapped_column(sa.String(64))
