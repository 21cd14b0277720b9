"""Pools that subnets get their blocks from, and the scopes in which pools do not overlap."""

from __future__ import annotations

from typing import Any

from sqlalchemy import orm

from hostler.db.models.base import Base, Resource, relation


class AddressScope(Resource, Base):
    """Subnet pools of one IP version whose prefixes do not overlap."""

    __tablename__ = "address_scopes"
    project_id: orm.Mapped[str] = relation("projects.id", kind="parent", on_delete="cascade")
    ip_version: orm.Mapped[int]
    revision: orm.Mapped[int] = orm.mapped_column(default=1)


class SubnetPool(Resource, Base):
    """Prefixes that are cut into the blocks of subnets."""

    __tablename__ = "subnet_pools"
    project_id: orm.Mapped[str] = relation("projects.id", kind="parent", on_delete="cascade")
    address_scope_id: orm.Mapped[str | None] = relation("address_scopes.id", kind="friend", on_delete="restrict")
    ip_version: orm.Mapped[int]
    prefixes: orm.Mapped[list[Any]] = orm.mapped_column(default=list)
    default_prefixlen: orm.Mapped[int]
    min_prefixlen: orm.Mapped[int]
    max_prefixlen: orm.Mapped[int]
    # What each project may have of it: addresses of IPv4, /64 blocks of IPv6; None for any number.
    default_quota: orm.Mapped[int | None]
    # The IP version that it is the default pool of, so that there is one at most.
    default_of: orm.Mapped[int | None] = orm.mapped_column(unique=True)
    tags: orm.Mapped[list[Any]] = orm.mapped_column(default=list)
    revision: orm.Mapped[int] = orm.mapped_column(default=1)
