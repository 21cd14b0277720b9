"""Refuses a volume at once when the server has no slot left for it; the host reports the number of slots."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import orm

from hostler import errors
from hostler.db.models import Host, Server, VolumeAttachment

# A host that says nothing (an agent of an earlier release) refuses by itself.
_OF_HOST = Host.connector["max_volumes"].as_integer()


def check_attach(session: orm.Session, server: Server) -> None:
    """Raise Forbidden when a server has as many volumes as its host supports; the caller holds its row."""
    if server.host_id is None:
        return
    limit = session.scalar(sa.select(_OF_HOST).where(Host.id == server.host_id))
    if limit is None:
        return
    present = session.scalar(sa.select(sa.func.count()).select_from(VolumeAttachment)
                             .where(VolumeAttachment.server_id == server.id))
    if (present or 0) >= limit:
        raise _too_many(limit)


def check_boot(session: orm.Session, volumes: int) -> None:
    """Raise Forbidden when no host gives a server so many volumes."""
    if volumes < 2:
        return
    limit = session.scalar(sa.select(sa.func.max(_OF_HOST)))
    if limit is not None and volumes > limit:
        raise _too_many(limit)


def _too_many(limit: int) -> errors.Forbidden:
    return errors.Forbidden(f"The maximum allowed number of disk devices ({limit}) to attach to a single instance has "
                            "been exceeded.", action="attach_volume")
