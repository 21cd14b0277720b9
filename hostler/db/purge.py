"""Removing the records of what was deleted or finished long ago."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from hostler.db.engine import Database
from hostler.db.models import (
    Backup,
    ConsoleToken,
    Image,
    ImageMember,
    ImageTag,
    Migration,
    Operation,
    OperationNote,
    OperationStep,
    RevokedToken,
    Server,
    ServerTag,
    Snapshot,
    Volume,
)
from hostler.operations import notes, states


def purge(db: Database, before: dt.datetime) -> dict[str, int]:
    """Delete what ended before `before`; returns the number of rows by table.

    May be repeated; of a chain of backups each turn takes the last ones.
    """
    finished = sa.select(Operation.id).where(Operation.state.in_(states.FINISHED), Operation.finished_at < before)
    servers = sa.select(Server.id).where(Server.deleted_at < before)
    # An image's row stays: people and servers know images by ids, and users may choose those of new ones.
    images = sa.select(Image.id).where(Image.deleted_at < before)
    # A backup that others build on goes after them. MariaDB looks into the table it deletes from through a copy only.
    parents = sa.select(sa.select(Backup.parent_id).where(Backup.parent_id.is_not(None)).subquery().c.parent_id)
    work: tuple[tuple[Any, Any], ...] = (
        (OperationStep, OperationStep.operation_id.in_(finished)),
        (Operation, sa.and_(Operation.state.in_(states.FINISHED), Operation.finished_at < before)),
        (ServerTag, ServerTag.server_id.in_(servers)),
        (Migration, Migration.server_id.in_(servers)),
        (ConsoleToken, sa.or_(ConsoleToken.server_id.in_(servers), ConsoleToken.expires_at < before)),
        (Server, Server.deleted_at < before),
        (Backup, sa.and_(Backup.deleted_at < before, Backup.id.not_in(parents))),
        (Snapshot, Snapshot.deleted_at < before),
        (Volume, sa.and_(Volume.deleted_at < before, Volume.id.not_in(sa.select(Snapshot.volume_id)))),
        # What was left on a back end must be known until reconciliation has no more use for it: with its volume.
        (OperationNote, sa.and_(~sa.exists().where(Operation.id == OperationNote.operation_id), sa.or_(
            OperationNote.name != notes.LEFT_ON, ~sa.exists().where(Volume.id == OperationNote.resource_id)))),
        (ImageTag, ImageTag.image_id.in_(images)),
        (ImageMember, ImageMember.image_id.in_(images)),
        (RevokedToken, RevokedToken.expires_at < before),
    )
    counts: dict[str, int] = {}
    for model, criterion in work:
        def remove(session: orm.Session, model: Any = model, criterion: Any = criterion) -> int:
            result: Any = session.execute(sa.delete(model).where(criterion)
                                          .execution_options(synchronize_session=False))
            return int(result.rowcount)

        counts[model.__tablename__] = db.write(remove)
    return counts
