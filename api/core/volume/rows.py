"""Reading volumes: plain rows with everything shown beside them, in a fixed number of statements for any page.

A volume's status is derived (`hostler.resources.volume.states`); `STATUS` is the same rule as an SQL expression, so
that lists can filter and sort by it.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import orm

from api.services import Services
from hostler import errors, ids
from hostler.context import RequestContext
from hostler.db.compiled import execute_built
from hostler.db.models import (
    Backend,
    Backup,
    Host,
    Lock,
    Operation,
    Server,
    Snapshot,
    Volume,
    VolumeAttachment,
    VolumeNode,
    VolumeTransfer,
    VolumeType,
)
from hostler.operations.accept import Target, check_unlocked, under_way
from hostler.operations.kinds import volume as kinds
from hostler.resources.volume import states
from hostler.resources.volume.status import ATTACHMENT_STATUS, SHOWN, VOLUME_WHILE, volume_status

VOLUMES: Any = Volume.__table__
LOCKS: Any = Lock.__table__
OPERATIONS: Any = Operation.__table__
BACKENDS: Any = Backend.__table__
NODES: Any = VolumeNode.__table__
TYPES: Any = VolumeType.__table__
ATTACHMENTS: Any = VolumeAttachment.__table__
TRANSFERS: Any = VolumeTransfer.__table__


def has_attachment(state: str) -> sa.ColumnElement[bool]:
    """Return the condition of volumes with an attachment in `state`."""
    return sa.exists().where(ATTACHMENTS.c.volume_id == VOLUMES.c.id, ATTACHMENTS.c.state == state).correlate(VOLUMES)


_OFFERED = sa.exists().where(TRANSFERS.c.volume_id == VOLUMES.c.id).correlate(VOLUMES)
_DELETING = sa.func.coalesce(LOCKS.c.kind, "") == kinds.DELETE.name
STATUS: Final[Any] = sa.case(
    (sa.and_(VOLUMES.c.state == states.CREATING, sa.not_(_DELETING)), states.CREATING),
    *((LOCKS.c.kind == kind, status) for kind, status in VOLUME_WHILE.items()),
    *((VOLUMES.c.state == state, status) for state, status in SHOWN.items()),
    (VOLUMES.c.state != states.READY, VOLUMES.c.state),
    *((has_attachment(attachment), status) for attachment, status in ATTACHMENT_STATUS.items()),
    (_OFFERED, "awaiting-transfer"), else_=states.READY)
JOINED: Final = VOLUMES.outerjoin(LOCKS, LOCKS.c.resource_id == VOLUMES.c.id).outerjoin(
    OPERATIONS, OPERATIONS.c.id == LOCKS.c.operation_id).outerjoin(
    BACKENDS, BACKENDS.c.id == VOLUMES.c.backend_id).outerjoin(NODES, NODES.c.id == BACKENDS.c.node_id).outerjoin(
    TYPES, TYPES.c.id == VOLUMES.c.volume_type_id)
_COLUMNS = [column for column in VOLUMES.c if column.key not in ("metadata", "provider", "scheduler_hints")]
_ROWS = sa.select(
    *_COLUMNS, VOLUMES.c.metadata.label("extra"), STATUS.label("status"), LOCKS.c.kind.label("lock_kind"),
    OPERATIONS.c.progress, BACKENDS.c.name.label("backend"), NODES.c.name.label("node"), NODES.c.id.label("node_id"),
    TYPES.c.name.label("type_name")).select_from(JOINED)
_IDS: sa.BindParameter[Any] = sa.bindparam("ids", expanding=True)
_ATTACHED = (
    # A client's own attachment names its instance in the connector; it belongs to no server here.
    sa.select(ATTACHMENTS.c.id, ATTACHMENTS.c.volume_id,
              sa.func.coalesce(ATTACHMENTS.c.server_id, ATTACHMENTS.c.connector["instance"].as_string()),
              ATTACHMENTS.c.device,
              ATTACHMENTS.c.mode, ATTACHMENTS.c.attached_at,
              sa.func.coalesce(Host.name, ATTACHMENTS.c.connector["host"].as_string()))
    .select_from(ATTACHMENTS.outerjoin(Server.__table__, Server.id == ATTACHMENTS.c.server_id)
                 .outerjoin(Host.__table__, Host.id == Server.host_id))
    .where(ATTACHMENTS.c.volume_id.in_(_IDS), ATTACHMENTS.c.state == states.ATTACHED)
    .order_by(ATTACHMENTS.c.created_at, ATTACHMENTS.c.id))

_USES = sa.select(
    ATTACHMENTS.c.id, ATTACHMENTS.c.server_id, ATTACHMENTS.c.state, TRANSFERS.c.id.label("transfer")).select_from(
    VOLUMES.outerjoin(ATTACHMENTS, ATTACHMENTS.c.volume_id == VOLUMES.c.id)
    .outerjoin(TRANSFERS, TRANSFERS.c.volume_id == VOLUMES.c.id)).where(VOLUMES.c.id == sa.bindparam("volume"))


@dataclasses.dataclass(frozen=True)
class Uses:
    """Rows (id, server_id, state) of a volume's attachments, and whether it is offered to another project."""

    attachments: Sequence[Any]
    offered: bool


@dataclasses.dataclass(frozen=True)
class Attached:
    """One attachment as shown."""

    id: str
    volume_id: str
    server_id: str | None
    device: str | None
    mode: str
    attached_at: dt.datetime | None
    host: str | None


def selection() -> sa.Select[Any]:
    """Return the SELECT of volume rows with `status`, `lock_kind`, `progress`, `backend`, `node` and `type_name`."""
    return _ROWS


def not_found(volume_id: str) -> errors.NotFound:
    """Return the error for a volume that does not exist for the caller."""
    return errors.NotFound(resource="Volume", id=volume_id)


def target_of(resource: Any) -> dict[str, Any]:
    """Return what policy rules are asked about."""
    return {"project_id": resource.project_id, "user_id": resource.user_id}


def find(session: orm.Session, context: RequestContext, volume_id: str) -> Any:
    """Return one volume's row; raises NotFound when it is gone or another project's."""
    query = _ROWS.where(VOLUMES.c.id == (ids.canonical(volume_id) or ""), VOLUMES.c.deleted_at.is_(None))
    if not context.is_admin:
        query = query.where(VOLUMES.c.project_id == context.project_id)
    row = session.execute(query).one_or_none()
    if row is None:
        raise not_found(volume_id)
    return row


def attachments_of(session: orm.Session, volume_ids: Sequence[str]) -> Mapping[str, Sequence[Attached]]:
    """Return the attachments of volumes that servers have, by volume, in one statement."""
    found: dict[str, list[Attached]] = defaultdict(list)
    if volume_ids:
        for row in session.execute(_ATTACHED, {"ids": list(volume_ids)}):
            found[row.volume_id].append(Attached(*row))
    return found


def load(session: orm.Session, context: RequestContext, volume_id: str) -> Volume:
    """Return one volume; raises NotFound when it is gone or another project's."""
    identifier = ids.canonical(volume_id)
    volume = session.get(Volume, identifier) if identifier is not None else None
    if volume is None or volume.deleted_at is not None:
        raise not_found(volume_id)
    if not context.is_admin and volume.project_id != context.project_id:
        raise not_found(volume_id)
    return volume


def hold(services: Services, session: orm.Session, volume: Volume) -> None:
    """Lock a volume's row until the transaction ends and reload it; raises NotFound when it is gone by then."""
    session.refresh(volume, with_for_update=not services.db.is_sqlite)
    if volume.deleted_at is not None:
        raise not_found(volume.id)


def to_change(services: Services, session: orm.Session, context: RequestContext, volume_id: str, action: str) -> Volume:
    """Return a volume for policy `action`, locked until the transaction ends; raises NotFound, Forbidden."""
    volume = load(session, context, volume_id)
    services.policy.check(context, action, target_of(volume))
    hold(services, session, volume)
    return volume


def uses_of(session: orm.Session, volume_id: str) -> Uses:
    """Return who has a volume or is to have it, in one statement."""
    rows = execute_built(session, _USES, {"volume": volume_id}).all()
    return Uses([row for row in rows if row.id is not None], offered=any(row.transfer is not None for row in rows))


def status_of(session: orm.Session, volume: Volume, uses: Uses | None = None) -> str:
    """Return the status of a volume that no operation holds; `uses` are the volume's, if they were read already."""
    uses = uses or uses_of(session, volume.id)
    return volume_status(volume.state, None, attachments={row.state for row in uses.attachments}, offered=uses.offered)


def check_idle(session: orm.Session, volume_id: str, *others: Target) -> None:
    """Raise ResourceLocked when an operation holds a volume or one of `others`, or a deletion waits to.

    A forced deletion has no lock while it waits for another operation to end; nothing may begin in between.
    """
    found = under_way(session, kinds.DELETE, volume_id)
    if found.holder is not None or others:
        check_unlocked(session, [Target("volume", volume_id), *others])
    if found.unfinished is not None:
        raise errors.ResourceLocked(resource="volume", id=volume_id, operation=found.unfinished,
                                    kind=kinds.DELETE.name, locked=[{"id": volume_id, "type": "volume"}])


def check_status(session: orm.Session, volume: Volume, *allowed: str) -> str:
    """Return the status of a volume, which must be one of `allowed`.

    Raises ResourceLocked when an operation holds it, WrongStatus when its status is another.
    """
    check_idle(session, volume.id)
    status = status_of(session, volume)
    if status not in allowed:
        raise wrong_status(volume.id, status, allowed)
    return status


def wrong_status(volume_id: str, status: str, allowed: Sequence[str]) -> errors.WrongStatus:
    """Return the error for a volume in a status other than `allowed`."""
    return errors.WrongStatus(resource="volume", id=volume_id, allowed=" or ".join(allowed), status=status)


def check_no_source(session: orm.Session, volume_id: str, *, snapshots: bool = False) -> None:
    """Raise InUse while a volume is being made from this one (or, with `snapshots`, from a snapshot of it)."""
    origin = [Volume.source_volume_id == volume_id]
    if snapshots:
        origin.append(Volume.snapshot_id.in_(sa.select(Snapshot.id).where(Snapshot.volume_id == volume_id)))
    check_no_heir(session, session.get_one(Volume, volume_id), sa.or_(*origin))


def check_no_heir(session: orm.Session, source: Volume | Snapshot | Backup,
                  made_from_it: sa.ColumnElement[bool]) -> None:
    """Raise InUse while a volume that fulfils `made_from_it` is being made; another project's is not named."""
    heir = session.execute(sa.select(Volume.id, Volume.project_id).where(
        Volume.state == states.CREATING, Volume.deleted_at.is_(None), made_from_it).limit(1)).one_or_none()
    if heir is not None:
        whose = heir.id if heir.project_id == source.project_id else "of another project"
        raise errors.InUse(resource=type(source).__name__, id=source.id,
                           reason=f"volume {whose} is being made from it.")
