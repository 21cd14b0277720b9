"""Attachments made through the Block Storage API, without a server: to reserve a volume and to connect it to a machine.

Their rows have no `server_id` (that is for attachments of servers); the id of the instance that they are for is in the
connector under `INSTANCE`. Attachments of servers are listed here, too. Connecting and ending are operations; the
request waits for them, since the published API answers when they are done.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import orm

from api.core.outcomes import follow, in_turn
from api.core.volume import rows as volume_rows
from api.services import Services
from hostler import clock, errors, ids
from hostler.context import RequestContext
from hostler.db.models import Backend, Server, Volume, VolumeAttachment, VolumeNode
from hostler.operations.accept import Target, accept, check_unlocked
from hostler.operations.agents import volume_agent
from hostler.operations.kinds import volume as kinds
from hostler.operations.kinds.kind import Kind
from hostler.query.fields import ID, Field
from hostler.query.paging import Page, Query, read_page
from hostler.query.resources import declare
from hostler.resources import quota
from hostler.resources.volume import moves, states
from hostler.resources.volume.specs import ConnectorSpec

INSTANCE: Final = "instance"
ATTACHMENTS: Any = VolumeAttachment.__table__
_VOLUMES: Any = Volume.__table__
_WAIT_S: Final = 15.0
_INSTANCE_ID: Final = sa.func.coalesce(ATTACHMENTS.c.server_id, VolumeAttachment.connector[INSTANCE].as_string())
ATTACHMENT: Final = declare(
    VolumeAttachment, {"instance_id": Field(_INSTANCE_ID, ID), "project_id": Field(_VOLUMES.c.project_id, ID)},
    source=ATTACHMENTS.join(_VOLUMES, _VOLUMES.c.id == ATTACHMENTS.c.volume_id))
_ROWS = sa.select(*(column for column in ATTACHMENTS.c), _INSTANCE_ID.label("instance"), _VOLUMES.c.project_id,
                  _VOLUMES.c.user_id).select_from(ATTACHMENT.source)


@dataclasses.dataclass(frozen=True, kw_only=True)
class NewAttachment:
    """What is asked for; without a connector the volume is reserved only."""

    volume_id: str
    instance_id: str | None = None
    connector: Mapping[str, Any] | None = None
    mode: str | None = None


def not_found(attachment_id: str) -> errors.NotFound:
    """Return the error for an attachment that does not exist for the caller."""
    return errors.NotFound(f"Volume attachment could not be found with filter: attachment_id = {attachment_id[:80]}.",
                           resource="attachment", id=attachment_id)


def status_of(row: Any) -> str:
    """Return an attachment's status: reserved, attaching or attached."""
    return states.ATTACHING if row.state == states.RESERVED and row.connection else str(row.state)


def list_attachments(services: Services, context: RequestContext, query: Query) -> Page:
    """Return a page of `show`'s rows; raises NotFound for an unknown marker."""
    services.policy.check(context, "volume:get_all_attachments")
    scope = [] if query.project_id is None else [_VOLUMES.c.project_id == query.project_id]
    with services.db.reading() as session:
        return read_page(session, ATTACHMENT, query, scope, selection=_ROWS)


def show(services: Services, context: RequestContext, attachment_id: str) -> Any:
    """Return one attachment's row, with its volume's project; raises NotFound, Forbidden."""
    with services.db.reading() as session:
        row = _find(session, context, attachment_id)
    services.policy.check(context, "volume:get_attachment", volume_rows.target_of(row))
    return row


def _find(session: orm.Session, context: RequestContext, attachment_id: str) -> Any:
    query = _ROWS.where(ATTACHMENTS.c.id == (ids.canonical(attachment_id) or ""))
    if not context.is_admin:
        query = query.where(_VOLUMES.c.project_id == context.project_id)
    row = session.execute(query).one_or_none()
    if row is None:
        raise not_found(attachment_id)
    return row


def create(services: Services, context: RequestContext, wanted: NewAttachment) -> str:
    """Reserve a volume and, with a connector, connect it; returns the attachment's id.

    Raises NotFound, WrongStatus, ResourceLocked, Invalid, QuotaExceeded; Conflict with the cause when connecting
    failed.
    """
    attachment_id = ids.new_id()
    connector = _connector_of(wanted.connector) if wanted.connector else {}

    def work(session: orm.Session) -> str | None:
        volume = volume_rows.to_change(services, session, context, wanted.volume_id, "volume:attachment_create")
        _check_free(session, volume)
        check_number(services, session, volume)
        if volume.readonly and wanted.mode == "rw":
            raise errors.Invalid(reason=f"Invalid volume: volume {volume.id} is read-only.")
        instance = {INSTANCE: ids.canonical(wanted.instance_id)} if wanted.instance_id else {}
        mode = wanted.mode or (wanted.connector or {}).get("mode") or ("ro" if volume.readonly else "rw")
        session.add(VolumeAttachment(
            id=attachment_id, volume_id=volume.id, state=states.RESERVED, mode="ro" if mode == "ro" else "rw",
            device=_device_of(wanted.connector), connector={**connector, **instance}))
        session.flush()
        return _connect(session, context, volume, attachment_id) if connector else None

    operation_id = in_turn(services, work)
    try:
        _follow(services, context, operation_id)
    except errors.Conflict:
        # The client never learns of this attachment, so nobody would release the volume.
        services.db.write(lambda session: session.execute(sa.delete(VolumeAttachment).where(
            VolumeAttachment.id == attachment_id, VolumeAttachment.state == states.RESERVED)))
        raise
    return attachment_id


def _check_free(session: orm.Session, volume: Volume) -> None:
    allowed = (states.READY, "in-use", states.RESERVED) if volume.multiattach else (states.READY,)
    volume_rows.check_status(session, volume, *allowed)
    volume_rows.check_no_source(session, volume.id)


def check_number(services: Services, session: orm.Session, volume: Volume) -> None:
    """Raise QuotaExceeded when a volume has as many attachments without a server as it may have."""
    made_here = session.scalar(sa.select(sa.func.count()).select_from(VolumeAttachment).where(
        VolumeAttachment.volume_id == volume.id, VolumeAttachment.server_id.is_(None))) or 0
    quota.check_items(session, services.conf, volume.project_id, "volume_attachments", made_here + 1, made_here)


def _connector_of(connector: Mapping[str, Any]) -> dict[str, Any]:
    """Translate a client's connector into ours: the machine's name and address, and what it can reach."""
    host, address = connector.get("host"), connector.get("ip")
    if not isinstance(host, str) or not host or len(host) > 255:
        raise errors.Invalid(reason="Invalid input received: Invalid connector: it must name its host.")
    if address is not None and not isinstance(address, str):
        raise errors.Invalid(reason="Invalid input received: Invalid connector: ip must be a text.")
    default = ConnectorSpec(host=host)
    return ConnectorSpec(host=host, ip=address or default.ip, tls=connector.get("tls") is True).to_wire()


def _device_of(connector: Mapping[str, Any] | None) -> str | None:
    mountpoint = (connector or {}).get("mountpoint")
    return mountpoint[:64] if isinstance(mountpoint, str) and mountpoint else None


def _connect(session: orm.Session, context: RequestContext, volume: Volume, attachment_id: str) -> str:
    return _accept(session, context, kinds.CONNECT_ATTACHMENT, volume, attachment_id)


def _accept(session: orm.Session, context: RequestContext, kind: Kind[kinds.VolumeConnection], volume: Volume,
            attachment_id: str) -> str:
    node = session.scalar(sa.select(VolumeNode.name).join(Backend, Backend.node_id == VolumeNode.id)
                          .where(Backend.id == volume.backend_id))
    return accept(session, context, kind, Target("volume", volume.id),
                  kinds.VolumeConnection(attachment_id=attachment_id), project_id=volume.project_id,
                  agent=None if node is None else volume_agent(node)).id


def update(services: Services, context: RequestContext, attachment_id: str, connector: Mapping[str, Any]) -> None:
    """Connect a reserved volume; raises as `create` does, and Conflict for an attachment that a server has."""
    ours = _connector_of(connector)

    def work(session: orm.Session) -> str:
        row, volume = _to_change(services, session, context, attachment_id, "volume:attachment_update")
        _refuse_server(row)
        check_unlocked(session, [Target("volume", volume.id)])
        if row.connection or row.state != states.RESERVED:
            raise errors.Invalid(reason=f"Invalid volume: attachment {row.id} is connected already.")
        row.connector = {**ours, **{key: value for key, value in row.connector.items() if key == INSTANCE}}
        row.device = _device_of(connector) or row.device
        if connector.get("mode") in ("ro", "rw"):
            row.mode = connector["mode"]
        return _connect(session, context, volume, row.id)

    _follow(services, context, in_turn(services, work))


def complete(services: Services, context: RequestContext, attachment_id: str) -> None:
    """Mark a volume as attached, even if it was never connected: the reference takes the caller's word for it."""

    def work(session: orm.Session) -> None:
        row, volume = _to_change(services, session, context, attachment_id, "volume:attachment_complete")
        _refuse_server(row)
        check_unlocked(session, [Target("volume", volume.id)])
        moves.ATTACHMENT.move(session, row.id, states.ATTACHED, {"attached_at": row.attached_at or clock.utcnow()})

    in_turn(services, work)


def delete(services: Services, context: RequestContext, attachment_id: str) -> Sequence[Any]:
    """End an attachment; returns what is left of the volume's attachments. Conflict for what a server has."""

    def work(session: orm.Session) -> tuple[str, str | None]:
        row, volume = _to_change(services, session, context, attachment_id, "volume:attachment_delete")
        _refuse_server(row, session)
        check_unlocked(session, [Target("volume", volume.id)])
        if not row.connection:
            session.delete(row)
            return volume.id, None
        return volume.id, _accept(session, context, kinds.DELETE_ATTACHMENT, volume, row.id)

    volume_id, operation_id = in_turn(services, work)
    _follow(services, context, operation_id)
    with services.db.reading() as session:
        left = _ROWS.where(ATTACHMENTS.c.volume_id == volume_id, ATTACHMENTS.c.id != ids.canonical(attachment_id))
        return session.execute(left.order_by(ATTACHMENTS.c.created_at)).all()


def _to_change(services: Services, session: orm.Session, context: RequestContext, attachment_id: str,
               action: str) -> tuple[VolumeAttachment, Volume]:
    found = _find(session, context, attachment_id)
    volume = volume_rows.to_change(services, session, context, found.volume_id, action)
    row = session.get(VolumeAttachment, found.id)
    if row is None:  # it went while we waited for the volume
        raise not_found(attachment_id)
    session.refresh(row)
    return row, volume


def _refuse_server(row: VolumeAttachment, session: orm.Session | None = None) -> None:
    """Raise Conflict for an attachment that a server has; with a session only while there is such a server."""
    if row.server_id is None:
        return
    if session is not None and session.scalar(sa.select(Server.id).where(
            Server.id == row.server_id, Server.deleted_at.is_(None))) is None:
        return
    raise errors.Conflict(reason=f"Volume {row.volume_id} is attached by server {row.server_id}: detach it through "
                                 f"the server (DELETE /servers/{row.server_id}/os-volume_attachments/"
                                 f"{row.volume_id}).")


def _follow(services: Services, context: RequestContext, operation_id: str | None) -> None:
    if operation_id is not None:
        follow(services, context, operation_id, _WAIT_S)
