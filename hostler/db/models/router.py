"""Routers, which ports are theirs, floating IPs, and port forwardings."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.ext import hybrid

from hostler.db.models.base import TABLE_OPTIONS, Base, Id, Resource, relation


class Router(Resource, Base):
    """Joins subnets, and leads outside by an external network; its ports are `RouterPort`s."""

    __tablename__ = "routers"
    project_id: orm.Mapped[str] = relation("projects.id", kind="parent", on_delete="cascade")
    admin_state_up: orm.Mapped[bool] = orm.mapped_column(default=True)
    # Whether each host leads outside for its own guests; else the one that the gateway's port names does for all.
    distributed: orm.Mapped[bool] = orm.mapped_column(default=True, server_default=sa.true())
    enable_snat: orm.Mapped[bool] = orm.mapped_column(default=True)
    routes: orm.Mapped[list[Any]] = orm.mapped_column(default=list)  # [{"destination", "nexthop"}]
    # The project whose auto-allocated network it leads outside.
    auto_of: orm.Mapped[str | None] = orm.mapped_column(Id, unique=True)
    tags: orm.Mapped[list[Any]] = orm.mapped_column(default=list)
    revision: orm.Mapped[int] = orm.mapped_column(default=1)
    # What hosts are sent about it: see `hostler.resources.revisions`.
    spec_revision: orm.Mapped[int] = orm.mapped_column(default=0, server_default="0")


class RouterPort(Base):
    """A port of a router: an `interface` on a subnet, its `gateway`, or the address of one more host (`snat`).

    `host_id` is the host that sends guests' traffic out from this address (gateway and snat): each its own, because
    the answers must come back to it. Of a router that is not distributed the gateway alone has a host, the elected one.
    """

    __tablename__ = "router_ports"
    __table_args__ = (sa.UniqueConstraint("router_id", "host_id"), TABLE_OPTIONS)
    port_id: orm.Mapped[str] = orm.mapped_column(
        Id, sa.ForeignKey("ports.id"), primary_key=True, info={"relation": "parent", "on_delete": "restrict"})
    router_id: orm.Mapped[str] = relation("routers.id", kind="parent", on_delete="cascade", index=False)
    role: orm.Mapped[str] = orm.mapped_column(sa.String(16))
    host_id: orm.Mapped[str | None] = relation("hosts.id", kind="friend", on_delete="clear")


class FloatingIp(Resource, Base):
    """An address of an external network that leads to a port, or by `PortForwarding`s to several.

    `public_port_id` is the port that holds it; `router_id` is set while it leads anywhere.
    """

    __tablename__ = "floating_ips"
    __table_args__ = (sa.UniqueConstraint("network_id", "address"), sa.UniqueConstraint("port_id", "fixed_ip_address"),
                      TABLE_OPTIONS)
    project_id: orm.Mapped[str] = relation("projects.id", kind="parent", on_delete="cascade")
    network_id: orm.Mapped[str] = relation("networks.id", kind="parent", on_delete="restrict", index=False)
    address: orm.Mapped[str] = orm.mapped_column(sa.String(64))
    public_port_id: orm.Mapped[str] = relation("ports.id", kind="parent", on_delete="restrict", unique=True,
                                               index=False)
    port_id: orm.Mapped[str | None] = relation("ports.id", kind="friend", on_delete="clear", index=False)
    fixed_ip_address: orm.Mapped[str | None] = orm.mapped_column(sa.String(64))
    router_id: orm.Mapped[str | None] = relation("routers.id", kind="friend", on_delete="clear")
    tags: orm.Mapped[list[Any]] = orm.mapped_column(default=list)
    revision: orm.Mapped[int] = orm.mapped_column(default=1)

    @hybrid.hybrid_property
    def status(self) -> str:
        """ACTIVE while it leads somewhere."""
        return "DOWN" if self.router_id is None else "ACTIVE"

    @status.inplace.expression
    @classmethod
    def _status(cls) -> sa.ColumnElement[str]:
        return sa.case((cls.router_id.is_(None), "DOWN"), else_="ACTIVE")


class PortForwarding(Resource, Base):
    """A range of a floating IP's ports that leads to a port's address: one by one, or all to a single port there."""

    __tablename__ = "port_forwardings"
    __table_args__ = (
        sa.UniqueConstraint("floating_ip_id", "protocol", "external_first", "external_last",
                            name="uq_port_forwardings_external"),
        sa.UniqueConstraint("port_id", "protocol", "fixed_ip_address", "internal_first", "internal_last",
                            name="uq_port_forwardings_internal"),
        TABLE_OPTIONS)
    floating_ip_id: orm.Mapped[str] = relation("floating_ips.id", kind="parent", on_delete="cascade", index=False)
    port_id: orm.Mapped[str] = relation("ports.id", kind="friend", on_delete="cascade", index=False)
    fixed_ip_address: orm.Mapped[str] = orm.mapped_column(sa.String(64))
    protocol: orm.Mapped[str] = orm.mapped_column(sa.String(16))
    external_first: orm.Mapped[int]
    external_last: orm.Mapped[int]
    internal_first: orm.Mapped[int]
    internal_last: orm.Mapped[int]
