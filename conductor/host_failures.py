"""Evacuates by itself the servers that ask for it, when their host is down and kept from their disks.

The first of these that says restart or none decides: the server's metadata `hostler:on_host_failure`, its group's
policy (`hostler-manage server-group set`), the extra spec of that name of its flavor. Every conductor looks; an
evacuation is accepted in the transaction that holds the server's row, so that two conductors, or one that dies and
looks again, accept one. A failed evacuation leaves the server in error, where only a person tries again.

When many hosts seem to be down at once it is rather the control plane that is cut off, and evacuating them all would
make it worse: then, and while the control plane has just come back, nothing is done.
"""

from __future__ import annotations

import datetime as dt
import functools
import logging
from typing import Final

import sqlalchemy as sa
from oslo_config import cfg
from sqlalchemy import orm

from conductor import fencing
from hostler import errors
from hostler.context import RequestContext
from hostler.db.engine import Database
from hostler.db.models import Host, Server, ServerGroup, ServerGroupMember
from hostler.db.moments import read_now
from hostler.operations.kinds import server as kinds
from hostler.resources.server import evacuations, host_failure, states

LOG = logging.getLogger(__name__)
_IN: Final = (states.ACTIVE, states.STOPPED)
_SERVERS: Final = (
    sa.select(Server, ServerGroup.on_host_failure)
    .outerjoin(ServerGroupMember, ServerGroupMember.server_id == Server.id)
    .outerjoin(ServerGroup, ServerGroup.id == ServerGroupMember.group_id)
    .where(Server.host_id == sa.bindparam("host"), Server.deleted_at.is_(None), Server.vm_state.in_(_IN))
    .order_by(Server.id))


def sweep(db: Database, conf: cfg.ConfigOpts) -> list[str]:
    """Accept an evacuation of each server that is due; returns the operations to wake."""
    accepted = []
    for server_id in _due(db, conf):
        try:
            operation_id = db.write(functools.partial(_accept, db=db, conf=conf, server_id=server_id))
        except errors.ResourceLocked as error:
            LOG.debug("server %s is not evacuated now: %s", server_id, error)
        else:
            accepted += [operation_id] if operation_id is not None else []
    return accepted


def _due(db: Database, conf: cfg.ConfigOpts) -> list[str]:
    """Return the servers whose host has been down long enough, and that want to be restarted."""
    with db.reading() as session:
        present = read_now(session)
        hosts = session.scalars(sa.select(Host)).all()
        down = [host for host in hosts if _is_lost(host, present, conf)]
        if not down:
            return []
        if len(down) > max(1, len(hosts) * conf.conductor.restart_limit_percent // 100):
            LOG.error("%d of %d hosts seem to be down: too many to restart their servers elsewhere", len(down),
                      len(hosts))
            return []
        return [server.id for host in down for server, of_group in session.execute(_SERVERS, {"host": host.id})
                if _wants_restart(server, of_group) and _may_be_fenced(session, host, server.id, conf)]


def _is_lost(host: Host, present: dt.datetime, conf: cfg.ConfigOpts) -> bool:
    return bool(host.forced_down or fencing.silence_s(host, present) > conf.conductor.restart_after)


def _may_be_fenced(session: orm.Session, host: Host, server_id: str, conf: cfg.ConfigOpts) -> bool:
    """Return whether an evacuation would get past the fence by itself."""
    danger = fencing.danger_of(host, read_now(session))
    return (danger is None or danger.wait_s is not None or bool(conf.compute.fence_command)
            or not fencing.shares_disks(session, server_id, host))


def _wants_restart(server: Server, of_group: str | None) -> bool:
    policy, specs = host_failure.POLICY, server.flavor.get("extra_specs") or {}
    said = (server.extra.get(policy), of_group, specs.get(policy))
    decided = next((choice for choice in said if choice in host_failure.CHOICES), host_failure.NONE)
    return decided == host_failure.RESTART


def _accept(session: orm.Session, *, db: Database, conf: cfg.ConfigOpts, server_id: str) -> str | None:
    db.lock_row(session, Server, Server.id == server_id)
    server = session.get(Server, server_id)
    if server is None or server.deleted_at is not None or server.vm_state not in _IN or not server.host_id:
        return None
    host, present = fencing.load(session, server.host_id)
    if not _is_lost(host, present, conf):
        return None
    evacuations.check_free(session, server)
    LOG.warning("server %s is evacuated from host %s, which is down, as its policy says", server_id, host.name)
    return evacuations.accept(session, RequestContext.system(), server, kinds.Evacuate()).id
