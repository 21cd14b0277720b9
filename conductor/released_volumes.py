"""Volumes that their guests let go of after the request had timed out: detached now, as if asked for again."""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterable, Mapping

import sqlalchemy as sa
from sqlalchemy import orm

from hostler import errors
from hostler.context import RequestContext
from hostler.db.engine import Database
from hostler.db.models import Host, Server, VolumeAttachment
from hostler.operations.accept import Target, accept
from hostler.operations.kinds import server as kinds

LOG = logging.getLogger(__name__)


def accept_detachments(db: Database, context: RequestContext, host: str,
                       released: Iterable[Mapping[str, str]]) -> list[str]:
    """Accept a detach for each attachment whose server runs on `host`; returns the operations.

    What another operation holds is left: the host reports it again with its next reconciliation.
    """
    operations = []
    for entry in released:
        try:
            operation_id = db.write(functools.partial(_accept, context=context, host=host, entry=entry))
        except errors.ResourceLocked as error:
            LOG.info("attachment %s was let go of by its guest and waits: %s", entry["attachment_id"], error)
            continue
        if operation_id is not None:
            LOG.warning("server %s let go of attachment %s, which is detached now", entry["server_id"],
                        entry["attachment_id"])
            operations.append(operation_id)
    return operations


def _accept(session: orm.Session, context: RequestContext, host: str, entry: Mapping[str, str]) -> str | None:
    server = session.scalars(sa.select(Server).join(Host, Host.id == Server.host_id).where(
        Server.id == entry["server_id"], Host.name == host, Server.deleted_at.is_(None))).one_or_none()
    attachment = session.get(VolumeAttachment, entry["attachment_id"])
    if server is None or attachment is None or attachment.server_id != server.id or attachment.boot_index == 0:
        return None
    if server.vm_state not in kinds.DETACH_VOLUME.starts_in:
        return None
    return accept(session, context, kinds.DETACH_VOLUME, Target("server", server.id),
                  kinds.ServerVolume(attachment_id=attachment.id, volume_id=attachment.volume_id),
                  also_lock=[Target("volume", attachment.volume_id)], project_id=server.project_id,
                  host_id=server.host_id).id
