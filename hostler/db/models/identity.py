"""Domains, projects, users, groups, roles and credentials."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from hostler.db.models.base import TABLE_OPTIONS, Base, Id, Resource, relation


class Described:
    """What clients may add to an identity resource: `extra` attributes of any name, and its `options`."""

    extra: orm.Mapped[dict[str, Any] | None] = orm.mapped_column(sa.JSON)
    options: orm.Mapped[dict[str, Any] | None] = orm.mapped_column(sa.JSON)

    @property
    def immutable(self) -> bool:
        """Whether it can neither be changed nor deleted until this option is taken back."""
        return bool((self.options or {}).get("immutable"))


class Domain(Described, Resource, Base):
    """A name space of users and projects; `default` always exists."""

    __tablename__ = "domains"
    enabled: orm.Mapped[bool] = orm.mapped_column(default=True)
    tags: orm.Mapped[list[Any] | None] = orm.mapped_column(sa.JSON)


class Project(Described, Resource, Base):
    """Who owns resources and whose quota they count against. Its row is locked while quota is counted."""

    __tablename__ = "projects"
    __table_args__ = (sa.UniqueConstraint("domain_id", "name"), TABLE_OPTIONS)
    domain_id: orm.Mapped[str] = relation("domains.id", kind="parent", on_delete="restrict")
    enabled: orm.Mapped[bool] = orm.mapped_column(default=True)
    tags: orm.Mapped[list[Any]] = orm.mapped_column(default=list)


class User(Described, Resource, Base):
    """A person or a program that logs in."""

    __tablename__ = "users"
    __table_args__ = (sa.UniqueConstraint("domain_id", "name"), TABLE_OPTIONS)
    domain_id: orm.Mapped[str] = relation("domains.id", kind="parent", on_delete="restrict")
    default_project_id: orm.Mapped[str | None] = orm.mapped_column(Id)
    email: orm.Mapped[str | None] = orm.mapped_column(sa.String(255))
    enabled: orm.Mapped[bool] = orm.mapped_column(default=True)
    password_hash: orm.Mapped[str | None] = orm.mapped_column(sa.String(255))
    password_changed_at: orm.Mapped[dt.datetime | None]
    # Read by releases before 0.3 only: failures are counted by source (LoginFailures).
    failed_logins: orm.Mapped[int] = orm.mapped_column(default=0)
    locked_until: orm.Mapped[dt.datetime | None]
    # Tokens issued before this moment are refused (password change, disabling).
    tokens_valid_from: orm.Mapped[dt.datetime | None]


class LoginFailures(Base):
    """Failed logins of a user from one source in a row, and until when that pair is refused."""

    __tablename__ = "login_failures"
    user_id: orm.Mapped[str] = orm.mapped_column(
        Id, sa.ForeignKey("users.id"), primary_key=True, info={"relation": "parent", "on_delete": "cascade"})
    source: orm.Mapped[str] = orm.mapped_column(sa.String(64), primary_key=True)
    failures: orm.Mapped[int]
    locked_until: orm.Mapped[dt.datetime | None]
    expires_at: orm.Mapped[dt.datetime] = orm.mapped_column(index=True)


class Role(Described, Resource, Base):
    """A name that policy rules refer to: admin, manager, member, reader, service."""

    __tablename__ = "roles"
    __table_args__ = (sa.UniqueConstraint("name"), TABLE_OPTIONS)


class RoleAssignment(Base):
    """A user's role on a project, on a domain, or on the system as a whole (`target_type`)."""

    __tablename__ = "role_assignments"
    user_id: orm.Mapped[str] = orm.mapped_column(
        Id, sa.ForeignKey("users.id"), primary_key=True, info={"relation": "parent", "on_delete": "cascade"})
    target_type: orm.Mapped[str] = orm.mapped_column(sa.String(16), primary_key=True)  # project | domain | system
    target_id: orm.Mapped[str] = orm.mapped_column(Id, primary_key=True, index=True)  # "system" for the system
    role_id: orm.Mapped[str] = orm.mapped_column(
        Id, sa.ForeignKey("roles.id"), primary_key=True, info={"relation": "parent", "on_delete": "cascade"})


class Group(Resource, Base):
    """Users of whom each has the roles that the group was given."""

    __tablename__ = "user_groups"
    __table_args__ = (sa.UniqueConstraint("domain_id", "name"), TABLE_OPTIONS)
    domain_id: orm.Mapped[str] = relation("domains.id", kind="parent", on_delete="restrict")
    extra: orm.Mapped[dict[str, Any] | None] = orm.mapped_column(sa.JSON)


class GroupMember(Base):
    """A user in a group."""

    __tablename__ = "user_group_members"
    group_id: orm.Mapped[str] = orm.mapped_column(
        Id, sa.ForeignKey("user_groups.id"), primary_key=True, info={"relation": "parent", "on_delete": "cascade"})
    user_id: orm.Mapped[str] = orm.mapped_column(
        Id, sa.ForeignKey("users.id"), primary_key=True, index=True,
        info={"relation": "parent", "on_delete": "cascade"})


class GroupRoleAssignment(Base):
    """A group's role on a project, on a domain, or on the system; the columns are those of `RoleAssignment`."""

    __tablename__ = "group_role_assignments"
    group_id: orm.Mapped[str] = orm.mapped_column(
        Id, sa.ForeignKey("user_groups.id"), primary_key=True, info={"relation": "parent", "on_delete": "cascade"})
    target_type: orm.Mapped[str] = orm.mapped_column(sa.String(16), primary_key=True)
    target_id: orm.Mapped[str] = orm.mapped_column(Id, primary_key=True, index=True)
    role_id: orm.Mapped[str] = orm.mapped_column(
        Id, sa.ForeignKey("roles.id"), primary_key=True, info={"relation": "parent", "on_delete": "cascade"})


class ApplicationCredential(Resource, Base):
    """A separate secret with some of a user's roles on one project."""

    __tablename__ = "application_credentials"
    __table_args__ = (sa.UniqueConstraint("user_id", "name"), TABLE_OPTIONS)
    user_id: orm.Mapped[str] = relation("users.id", kind="parent", on_delete="cascade")
    project_id: orm.Mapped[str] = relation("projects.id", kind="parent", on_delete="cascade")
    secret_hash: orm.Mapped[str] = orm.mapped_column(sa.String(255))
    role_ids: orm.Mapped[list[Any]] = orm.mapped_column(default=list)
    unrestricted: orm.Mapped[bool] = orm.mapped_column(default=False)
    expires_at: orm.Mapped[dt.datetime | None]


class RevokedToken(Base):
    """A token that was revoked before its time; swept once it would have expired."""

    __tablename__ = "revoked_tokens"
    audit_id: orm.Mapped[str] = orm.mapped_column(sa.String(64), primary_key=True)
    expires_at: orm.Mapped[dt.datetime] = orm.mapped_column(index=True)


class QuotaLimit(Base):
    """A project's own limit for one resource, or everybody's (`quota.DEFAULTS`); without a row the configured one
    applies."""

    __tablename__ = "quota_limits"
    project_id: orm.Mapped[str] = orm.mapped_column(Id, primary_key=True)
    resource: orm.Mapped[str] = orm.mapped_column(sa.String(64), primary_key=True)
    hard_limit: orm.Mapped[int]
