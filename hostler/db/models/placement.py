"""Zones, hosts, aggregates, allocations and the services that report in."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from hostler import clock, ids
from hostler.db.models.base import TABLE_OPTIONS, Base, Id, Name, Resource, relation
from hostler.db.moments import now


class Zone(Resource, Base):
    """An availability zone; compute and volume share it."""

    __tablename__ = "zones"
    __table_args__ = (sa.UniqueConstraint("name"), TABLE_OPTIONS)


class Host(Resource, Base):
    """A hypervisor and its agent, as last reported.

    `generation` grows with every claim and release, so that a claim can be made by compare-and-set; `changed_at`
    moves with it and with every change that a scheduler must see. Heartbeats move `last_seen_at` only.
    """

    __tablename__ = "hosts"
    __table_args__ = (sa.UniqueConstraint("name"), sa.UniqueConstraint("number"), TABLE_OPTIONS)
    number: orm.Mapped[int]  # the id that old clients know
    zone_id: orm.Mapped[str] = relation("zones.id", kind="parent", on_delete="cascade")
    hypervisor_type: orm.Mapped[str] = orm.mapped_column(sa.String(64), default="QEMU")
    hypervisor_version: orm.Mapped[int] = orm.mapped_column(default=0)
    hypervisor_hostname: orm.Mapped[str] = orm.mapped_column(Name, default="")
    host_ip: orm.Mapped[str] = orm.mapped_column(sa.String(64), default="")
    # Where other hosts send the frames of VXLAN networks; empty until an agent that can carry them reports.
    tunnel_ip: orm.Mapped[str] = orm.mapped_column(sa.String(64), default="", server_default="")
    arch: orm.Mapped[str] = orm.mapped_column(sa.String(32), default="x86_64")
    cpu_info: orm.Mapped[dict[str, Any]] = orm.mapped_column(default=dict)
    traits: orm.Mapped[list[Any]] = orm.mapped_column(default=list)
    # How its volumes may reach it (`hostler.resources.volume.specs.ConnectorSpec` as a map).
    connector: orm.Mapped[dict[str, Any]] = orm.mapped_column(default=dict, server_default="{}")
    vcpus: orm.Mapped[int] = orm.mapped_column(default=0)
    ram_mib: orm.Mapped[int] = orm.mapped_column(default=0)
    disk_gib: orm.Mapped[int] = orm.mapped_column(default=0)
    cpu_ratio: orm.Mapped[float] = orm.mapped_column(default=1.0)
    ram_ratio: orm.Mapped[float] = orm.mapped_column(default=1.0)
    disk_ratio: orm.Mapped[float] = orm.mapped_column(default=1.0)
    reserved_ram_mib: orm.Mapped[int] = orm.mapped_column(default=0)
    reserved_disk_gib: orm.Mapped[int] = orm.mapped_column(default=0)
    enabled: orm.Mapped[bool] = orm.mapped_column(default=True)
    disabled_reason: orm.Mapped[str | None] = orm.mapped_column(sa.String(255))
    forced_down: orm.Mapped[bool] = orm.mapped_column(default=False)
    healthy: orm.Mapped[bool] = orm.mapped_column(default=True)
    unhealthy_reason: orm.Mapped[str | None] = orm.mapped_column(sa.String(255))
    uptime_s: orm.Mapped[int] = orm.mapped_column(default=0)
    started_at: orm.Mapped[dt.datetime | None]
    last_seen_at: orm.Mapped[dt.datetime | None]
    # Of the last look at its guests that was taken (`conductor.guest_reports`).
    look_number: orm.Mapped[int] = orm.mapped_column(sa.BigInteger, default=0, server_default="0")
    # Of the last report (`conductor.heartbeats`): one with the same digest says nothing new.
    report_digest: orm.Mapped[str] = orm.mapped_column(sa.String(32), default="", server_default="")
    # How its guests are kept from disks that others take over (`conductor.fencing`).
    fence_generation: orm.Mapped[int] = orm.mapped_column(default=0, server_default="0")
    self_fence_s: orm.Mapped[int] = orm.mapped_column(default=0, server_default="0")
    servers_share: orm.Mapped[str | None] = orm.mapped_column(Id)
    generation: orm.Mapped[int] = orm.mapped_column(default=0)
    changed_at: orm.Mapped[dt.datetime] = orm.mapped_column(default=clock.utcnow, index=True)


class Allocation(Base):
    """What one consumer (a server) holds of one host; free capacity is the host's less the sum of these."""

    __tablename__ = "allocations"
    consumer_id: orm.Mapped[str] = orm.mapped_column(Id, primary_key=True)
    host_id: orm.Mapped[str] = orm.mapped_column(Id, sa.ForeignKey("hosts.id"), primary_key=True, index=True)
    vcpus: orm.Mapped[int]
    ram_mib: orm.Mapped[int]
    disk_gib: orm.Mapped[int]
    created_at: orm.Mapped[dt.datetime] = orm.mapped_column(default=clock.utcnow)


class Aggregate(Base):
    """A set of hosts with metadata; its zone, when it has one, is the zone of its hosts."""

    __tablename__ = "aggregates"
    __table_args__ = (sa.UniqueConstraint("name"), sa.UniqueConstraint("uuid"), TABLE_OPTIONS)
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True, autoincrement=True)
    uuid: orm.Mapped[str] = orm.mapped_column(Id, default=ids.new_id)
    name: orm.Mapped[str] = orm.mapped_column(Name)
    availability_zone: orm.Mapped[str | None] = orm.mapped_column(sa.String(255))
    extra: orm.Mapped[dict[str, Any]] = orm.mapped_column("metadata", default=dict)
    created_at: orm.Mapped[dt.datetime] = orm.mapped_column(default=clock.utcnow)
    updated_at: orm.Mapped[dt.datetime | None] = orm.mapped_column(onupdate=clock.utcnow)


class AggregateHost(Base):
    """A host's membership in an aggregate."""

    __tablename__ = "aggregate_hosts"
    aggregate_id: orm.Mapped[int] = orm.mapped_column(sa.ForeignKey("aggregates.id"), primary_key=True)
    host_id: orm.Mapped[str] = orm.mapped_column(Id, sa.ForeignKey("hosts.id"), primary_key=True, index=True)


class Service(Base):
    """A control service (api, conductor, scheduler) that reports its life in the database."""

    __tablename__ = "services"
    __table_args__ = (sa.UniqueConstraint("binary", "host"), sa.UniqueConstraint("number"), TABLE_OPTIONS)
    id: orm.Mapped[str] = orm.mapped_column(Id, primary_key=True, default=ids.new_id)
    number: orm.Mapped[int]
    binary: orm.Mapped[str] = orm.mapped_column(sa.String(64))
    host: orm.Mapped[str] = orm.mapped_column(Name)
    enabled: orm.Mapped[bool] = orm.mapped_column(default=True)
    disabled_reason: orm.Mapped[str | None] = orm.mapped_column(sa.String(255))
    started_at: orm.Mapped[dt.datetime] = orm.mapped_column(default=clock.utcnow)
    last_seen_at: orm.Mapped[dt.datetime] = orm.mapped_column(default=now())
