"""Removing the records of what was deleted or finished long ago."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from hostler.db.engine import Database
from hostler.db.models import Image, ImageMember, ImageTag, Operation, OperationStep, RevokedToken, Server, ServerTag
from hostler.operations import states


def purge(db: Database, before: dt.datetime) -> dict[str, int]:
    """Delete what ended before `before`; returns the number of rows by table. May be repeated."""
    finished = sa.select(Operation.id).where(Operation.state.in_(states.FINISHED), Operation.finished_at < before)
    servers = sa.select(Server.id).where(Server.deleted_at < before)
    images = sa.select(Image.id).where(Image.deleted_at < before,
                                       Image.id.not_in(sa.select(Server.image_id).where(Server.image_id.is_not(None))))
    work: tuple[tuple[Any, Any], ...] = (
        (OperationStep, OperationStep.operation_id.in_(finished)),
        (Operation, sa.and_(Operation.state.in_(states.FINISHED), Operation.finished_at < before)),
        (ServerTag, ServerTag.server_id.in_(servers)),
        (Server, Server.deleted_at < before),
        (ImageTag, ImageTag.image_id.in_(images)),
        (ImageMember, ImageMember.image_id.in_(images)),
        (Image, Image.id.in_(images)),
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
