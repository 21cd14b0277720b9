"""Which of two messages is newer: numbers that grow with every change of what hosts are told.

The naive way sends a host the records as they were read, and writes into the records what a host reports. But a
conductor may stall while it holds either: it wakes after newer rules were sent, and a deleted rule's port is open
again; or after a server was stopped, and the server counts as running. So each change moves a number in its own
transaction, every message and every report carries the number it was made from, and either side takes only what is no
older than what it has. A number is read before (or with) what it counts: content may be newer than its number, which
its own message then repeats, but never older.

    servers.revision                   name, host name, metadata; each change of the guest's power
    servers.guest_revision             the revision at which an operation last changed the guest: reports older than
                                       this are about a guest that was
    ports.spec_revision                addresses, network, security, rules of its groups (ports on hosts alone: what is
                                       on none is read when it gets there)
    routers.spec_revision              interfaces, gateway, routes; of two networks that a host was sent at different
                                       moments, each with the router, which router is the newer
    security_groups.members_revision   addresses of the members, for rules that admit them; SecurityGroupChange says
                                       which ports each revision was about
    networks.peers_revision            hosts and addresses of a VXLAN network's ports, which its other hosts send to

`hostler.resources.network.host_updates` moves the numbers of what it tells hosts.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy import orm

from hostler.db.compiled import execute_built
from hostler.db.models import Port, PortSecurityGroup, Router, SecurityGroup, SecurityGroupChange, Server
from hostler.db.together import Rows, Statement, execute_together
from hostler.resources.server.specs import ServerSpec

# Built once, for every boot and delete.
_GROUPS = cast(sa.Table, SecurityGroup.__table__)
_COUNT = sa.update(_GROUPS).where(_GROUPS.c.id == sa.bindparam("group")).values(
    members_revision=_GROUPS.c.members_revision + 1, updated_at=_GROUPS.c.updated_at)
_PORTS = sa.select(Port.id).where(Port.id.in_(sa.bindparam("ports", expanding=True))).subquery()


def _noted(groups: Any) -> Any:
    rows = sa.select(groups.c.id, groups.c.members_revision, _PORTS.c.id).join(_PORTS, sa.true())
    return sa.insert(cast(sa.Table, SecurityGroupChange.__table__)).from_select(
        ["group_id", "revision", "port_id"], rows)


_NOTE = _noted(sa.select(_GROUPS.c.id, _GROUPS.c.members_revision).where(
    _GROUPS.c.id.in_(sa.bindparam("groups", expanding=True))).subquery())
# Both at once, where a statement may return what it has updated to another one.
_COUNT_AND_NOTE = _noted(_COUNT.returning(_GROUPS.c.id, _GROUPS.c.members_revision).cte("counted"))

_OF_SERVER = sa.select(Server.revision, sa.select(sa.func.sum(Port.spec_revision)).where(
    Port.server_id == Server.id).scalar_subquery()).where(Server.id == sa.bindparam("server"))


def server_changed(session: orm.Session, server_id: str) -> None:
    """Count a change of what the guest is told: the server's own, and its ports', whose host name may be its."""
    _execute(session, sa.update(Server).where(Server.id == server_id).values(
        revision=Server.revision + 1, updated_at=Server.updated_at))
    _ports(session, Port.server_id == server_id)


def guest_changes(session: orm.Session, server_id: str) -> int:
    """Count a change of the guest that is about to be asked for; returns the revision that its message carries."""
    # Two statements: MariaDB would evaluate the second column with the first one's new value.
    current = session.execute(sa.select(Server.revision).where(Server.id == server_id).with_for_update()).scalar() or 0
    _execute(session, sa.update(Server).where(Server.id == server_id).values(
        revision=current + 1, guest_revision=current + 1, updated_at=Server.updated_at))
    return current + 1


def of_server(session: orm.Session, server_id: str) -> tuple[int, int]:
    """Return a server's revision, and the sum of its ports', which grows with each of them."""
    own, ports = execute_built(session, _OF_SERVER, {"server": server_id}).one_or_none() or (0, 0)
    return int(own or 0), int(ports or 0)


def of_spec(spec: ServerSpec) -> tuple[int, int]:
    """Return the same as `of_server` returned when the spec was read."""
    return spec.revision, sum(port.revision for port in spec.ports)


def ports_changed(session: orm.Session, port_ids: Collection[str]) -> None:
    """Count a change of ports."""
    _ports(session, Port.id.in_(port_ids))


def network_changed(session: orm.Session, network_id: str) -> None:
    """Count a change of a network, which all its ports carry."""
    _ports(session, Port.network_id == network_id)


def routers_changed(session: orm.Session, router_ids: Collection[str]) -> None:
    """Count a change of routers; their networks' ports, which carry them, are counted beside."""
    if router_ids:
        _execute(session, sa.update(Router).where(Router.id.in_(router_ids)).values(
            spec_revision=Router.spec_revision + 1, updated_at=Router.updated_at))


def rules_changed(session: orm.Session, group_ids: Collection[str]) -> None:
    """Count a change of groups' rules, which the ports in them carry."""
    _ports(session, Port.id.in_(sa.select(PortSecurityGroup.port_id).where(PortSecurityGroup.group_id.in_(group_ids))))


def members_changed(session: orm.Session, group_ids: Collection[str], port_ids: Collection[str], *,
                    beside: tuple[Statement, ...] = (), values: Mapping[str, Any] | None = None,
                    rows: Rows | None = None) -> None:
    """Count that ports, which exist, come into groups or leave them, or have other addresses.

    `beside` is what changes then, executed with `values`, and `rows` what is inserted (`hostler.db.together`).
    """
    known, given = dict(values or {}), rows or {}
    if group_ids and port_ids:
        if len(group_ids) == 1 and session.connection().dialect.name == "postgresql":
            [known["group"]], known["ports"] = group_ids, list(port_ids)
            beside = (_COUNT_AND_NOTE, *beside)
        else:
            for group_id in sorted(group_ids):  # in order, so that two such transactions seldom wait for each other
                session.execute(_COUNT, {"group": group_id})
            session.execute(_NOTE, {"groups": list(group_ids), "ports": list(port_ids)})
    execute_together(session, beside, known, given)


def _ports(session: orm.Session, which: sa.ColumnElement[bool]) -> None:
    _execute(session, sa.update(Port).where(Port.host_id.is_not(None), which).values(
        spec_revision=Port.spec_revision + 1, updated_at=Port.updated_at))


def _execute(session: orm.Session, statement: Any) -> None:
    session.execute(statement.execution_options(synchronize_session=False))
