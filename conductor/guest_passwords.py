"""Passwords that guests made for themselves, encrypted with their user's key, and posted to the metadata service."""

from __future__ import annotations

import logging

import sqlalchemy as sa
from sqlalchemy import orm

from hostler.context import RequestContext
from hostler.db.engine import Database
from hostler.db.models import Host, Server
from hostler.resources.network import host_updates

LOG = logging.getLogger(__name__)


def keep(db: Database, context: RequestContext, host: str, server_id: str, password: str) -> bool:
    """Keep the password of a server on `host`, which then shows it to the guest; False when there is one already."""

    def work(session: orm.Session) -> bool:
        server = session.scalars(sa.select(Server).join(Host, Host.id == Server.host_id).where(
            Server.id == server_id, Host.name == host, Server.deleted_at.is_(None))).one_or_none()
        if server is None or server.encrypted_password:
            return False
        db.lock_row(session, Server, Server.id == server_id)
        session.refresh(server)
        if server.encrypted_password:
            return False
        server.encrypted_password = password
        host_updates.notify_of_server(session, context, server)
        return True

    taken = db.write(work)
    LOG.info("server %s posted a password: %s", server_id, "kept" if taken else "refused, there is one already")
    return taken
