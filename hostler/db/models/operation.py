"""The operation, its steps and its locks (DESIGN: one idea carries the rest)."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from hostler import clock, ids
from hostler.db.models.base import TABLE_OPTIONS, Base, Id
from hostler.db.moments import now


class Operation(Base):
    """One change to the cloud: job, progress, audit record, and the holder of its locks.

    `state` is one of `hostler.operations.states`; `owner`, `lease_until` and `attempt` say which conductor runs it.
    `flow` is what TaskFlow must find again to resume it.
    """

    __tablename__ = "operations"
    __table_args__ = (
        sa.Index("ix_operations_due", "state", "not_before"),
        sa.Index("ix_operations_lease", "state", "lease_until"),
        sa.Index("ix_operations_resource", "resource_id", "created_at"),
        sa.UniqueConstraint("idempotency_key"),
        TABLE_OPTIONS,
    )
    id: orm.Mapped[str] = orm.mapped_column(Id, primary_key=True, default=ids.new_id)
    kind: orm.Mapped[str] = orm.mapped_column(sa.String(64))  # server.create, server.delete, …
    resource_type: orm.Mapped[str] = orm.mapped_column(sa.String(32))
    resource_id: orm.Mapped[str] = orm.mapped_column(Id)
    project_id: orm.Mapped[str | None] = orm.mapped_column(Id, index=True)
    user_id: orm.Mapped[str | None] = orm.mapped_column(Id)
    request_id: orm.Mapped[str] = orm.mapped_column(sa.String(64), index=True)
    idempotency_key: orm.Mapped[str | None] = orm.mapped_column(sa.String(255))
    state: orm.Mapped[str] = orm.mapped_column(sa.String(16), default="pending")
    # What `hostler.operations.kinds` stores and loads again.
    arguments: orm.Mapped[dict[str, Any]] = orm.mapped_column(default=dict)
    arguments_version: orm.Mapped[int] = orm.mapped_column(default=1, server_default="1")
    flow: orm.Mapped[dict[str, Any] | None] = orm.mapped_column(sa.JSON)
    # The host whose agent the next step talks to: a conductor limits how many of its workers wait for one host.
    host: orm.Mapped[str | None] = orm.mapped_column(sa.String(255))
    owner: orm.Mapped[str | None] = orm.mapped_column(sa.String(255))
    lease_until: orm.Mapped[dt.datetime | None]
    attempt: orm.Mapped[int] = orm.mapped_column(default=0)  # grows with each claim: the fencing number
    crashes: orm.Mapped[int] = orm.mapped_column(default=0)  # interruptions since a step was finished
    # `conductor.engine.isolation`: it runs alone now; interruptions while it did.
    alone: orm.Mapped[bool] = orm.mapped_column(default=False, server_default=sa.false())
    crashes_alone: orm.Mapped[int] = orm.mapped_column(default=0, server_default="0")
    not_before: orm.Mapped[dt.datetime] = orm.mapped_column(default=now())
    waiting_since: orm.Mapped[dt.datetime | None]  # a silent host is waited for since
    waiting_for: orm.Mapped[str | None] = orm.mapped_column(sa.String(255))
    # Accepted while another operation held its resource: the claim takes the lock.
    waits_for_lock: orm.Mapped[bool] = orm.mapped_column(default=False, server_default=sa.false())
    cancel_requested: orm.Mapped[bool] = orm.mapped_column(default=False)  # stop at the next task and revert
    progress: orm.Mapped[int] = orm.mapped_column(default=0)  # per cent
    message: orm.Mapped[str | None] = orm.mapped_column(sa.Text)  # the cause, when it failed
    created_at: orm.Mapped[dt.datetime] = orm.mapped_column(default=clock.utcnow)
    updated_at: orm.Mapped[dt.datetime] = orm.mapped_column(default=clock.utcnow, onupdate=clock.utcnow)
    started_at: orm.Mapped[dt.datetime | None]
    finished_at: orm.Mapped[dt.datetime | None] = orm.mapped_column(index=True)


class OperationStep(Base):
    """One task of an operation's flow: TaskFlow's record of it, and an event in the user's action list."""

    __tablename__ = "operation_steps"
    operation_id: orm.Mapped[str] = orm.mapped_column(Id, sa.ForeignKey("operations.id"), primary_key=True)
    name: orm.Mapped[str] = orm.mapped_column(sa.String(128), primary_key=True)
    uuid: orm.Mapped[str] = orm.mapped_column(Id)
    state: orm.Mapped[str] = orm.mapped_column(sa.String(16))
    detail: orm.Mapped[dict[str, Any]] = orm.mapped_column(default=dict)
    host: orm.Mapped[str | None] = orm.mapped_column(sa.String(255))
    started_at: orm.Mapped[dt.datetime | None]
    finished_at: orm.Mapped[dt.datetime | None]


class OperationNote(Base):
    """What an operation remembers (`hostler.operations.notes`); it may outlive the operation, so it has no foreign
    key."""

    __tablename__ = "operation_notes"
    __table_args__ = (sa.Index("ix_operation_notes_resource", "resource_id", "name"), TABLE_OPTIONS)
    operation_id: orm.Mapped[str] = orm.mapped_column(Id, primary_key=True)
    name: orm.Mapped[str] = orm.mapped_column(sa.String(32), primary_key=True)
    key: orm.Mapped[str] = orm.mapped_column(sa.String(255), primary_key=True)
    resource_id: orm.Mapped[str | None] = orm.mapped_column(Id)
    value: orm.Mapped[Any | None] = orm.mapped_column(sa.JSON)


class Lock(Base):
    """A resource that an operation holds. The primary key is the lock."""

    __tablename__ = "locks"
    resource_id: orm.Mapped[str] = orm.mapped_column(Id, primary_key=True)
    resource_type: orm.Mapped[str] = orm.mapped_column(sa.String(32))
    operation_id: orm.Mapped[str] = orm.mapped_column(Id, sa.ForeignKey("operations.id"), index=True)
    kind: orm.Mapped[str] = orm.mapped_column(sa.String(64))  # the operation's, so that lists need no join
