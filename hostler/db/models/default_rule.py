"""Rules that new security groups start with: the administrators' template."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import orm

from hostler import clock, ids
from hostler.db.models.base import Base, Resource

# The group that a rule is copied into, where a rule of the template admits a group's members.
PARENT: Final = "PARENT"
# What a new database starts with: everybody may send anything, and members of a default group reach one another.
FIRST: Final = tuple({"direction": direction, "ethertype": ethertype, "remote_group_id": remote,
                      "used_in_default_sg": True, "used_in_non_default_sg": remote is None}
                     for direction, remote in (("egress", None), ("ingress", PARENT)) for ethertype in ("IPv4", "IPv6"))


class DefaultRule(Resource, Base):
    """A rule that new groups get: the projects' `default` ones, the others, or both.

    `remote_group_id` and `remote_address_group_id` may name what is gone by the time a group is made.
    """

    __tablename__ = "default_security_group_rules"
    direction: orm.Mapped[str] = orm.mapped_column(sa.String(16))
    ethertype: orm.Mapped[str] = orm.mapped_column(sa.String(8))
    protocol: orm.Mapped[str | None] = orm.mapped_column(sa.String(32))
    port_min: orm.Mapped[int | None]
    port_max: orm.Mapped[int | None]
    remote_ip_prefix: orm.Mapped[str | None] = orm.mapped_column(sa.String(64))
    remote_group_id: orm.Mapped[str | None] = orm.mapped_column(sa.String(36))
    remote_address_group_id: orm.Mapped[str | None] = orm.mapped_column(sa.String(36))
    used_in_default_sg: orm.Mapped[bool]
    used_in_non_default_sg: orm.Mapped[bool]
    revision: orm.Mapped[int] = orm.mapped_column(default=0)


@sa.event.listens_for(DefaultRule.__table__, "after_create")
def _fill(table: Any, connection: sa.Connection, **_options: Any) -> None:
    moment = clock.utcnow()
    connection.execute(sa.insert(table), [
        {"id": ids.new_id(), "name": "", "description": "", "created_at": moment, "updated_at": moment, "revision": 0,
         **rule} for rule in FIRST])
