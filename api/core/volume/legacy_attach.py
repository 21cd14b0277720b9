"""The old way to attach volumes, where it still means something: reservations, and records of attachments.

A record says that some machine has the volume. It connects nothing, and no server here gets a disk by it. Use instead
the Compute API's volume attachments and the attachments of this API.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import Final

import sqlalchemy as sa
from sqlalchemy import orm

from api.core.outcomes import in_turn
from api.core.volume import rows as volume_rows
from api.core.volume.attachments import INSTANCE, check_number
from api.core.volume.rows import check_idle, check_status, to_change
from api.core.volume.volumes import agent_of
from api.services import Services
from hostler import clock, errors, ids
from hostler.context import RequestContext
from hostler.db.models import Server, Volume, VolumeAttachment
from hostler.operations.accept import Target, accept
from hostler.operations.kinds import volume as kinds
from hostler.resources.volume import moves, states

_ACTION: Final = "volume_extension:volume_actions:"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Attachment:
    """What a client says of a machine that has a volume: an instance or a host, and the device it is there."""

    instance_id: str | None
    host: str | None
    device: str
    mode: str


def reserve(services: Services, context: RequestContext, volume_id: str) -> None:
    """Reserve a volume for a later attachment; raises WrongStatus unless it is available."""

    def work(session: orm.Session) -> None:
        volume = to_change(services, session, context, volume_id, _ACTION + "reserve")
        check_status(session, volume, states.READY, *(("in-use",) if volume.multiattach else ()))
        volume_rows.check_no_source(session, volume.id)
        check_number(services, session, volume)
        session.add(VolumeAttachment(id=ids.new_id(), volume_id=volume.id, state=states.ATTACHING))

    in_turn(services, work)


def attach(services: Services, context: RequestContext, volume_id: str, said: Attachment) -> None:
    """Record that a machine has a volume, in the place of a reservation if there is one; may be repeated.

    Raises WrongStatus unless the volume is available or reserved by `reserve`, and Invalid for writing to a read-only
    one.
    """
    holder = ({INSTANCE: ids.canonical(said.instance_id)} if said.instance_id is not None else {"host": said.host})

    def work(session: orm.Session) -> None:
        volume = to_change(services, session, context, volume_id, _ACTION + "attach")
        check_idle(session, volume.id)
        there = _attachments(session, volume.id)
        if any(row.server_id is None and row.state == states.ATTACHED and row.connector.items() >= holder.items()
               for row in there):
            return
        check_status(session, volume, states.READY, states.ATTACHING, *(("in-use",) if volume.multiattach else ()))
        volume_rows.check_no_source(session, volume.id)
        if volume.readonly and said.mode == "rw":
            raise errors.Invalid(reason=f"Invalid attaching mode 'rw' for volume {volume.id}, which is read-only.")
        for row in there:
            if row.state == states.ATTACHING and row.server_id is None and not row.connection:
                session.delete(row)
                break
        else:
            check_number(services, session, volume)
        _forget_word(session, volume, (states.ATTACHING,))
        session.add(VolumeAttachment(
            id=ids.new_id(), volume_id=volume.id, state=states.ATTACHED, mode=said.mode, device=said.device,
            connector=holder, attached_at=clock.utcnow()))

    in_turn(services, work)


def unreserve(services: Services, context: RequestContext, volume_id: str) -> None:
    """Take an unused reservation back; fine when there is none."""

    def work(session: orm.Session) -> None:
        volume = to_change(services, session, context, volume_id, _ACTION + "unreserve")
        check_idle(session, volume.id)
        _forget_word(session, volume, (states.ATTACHING,))
        for attachment in _attachments(session, volume.id):
            if (attachment.state in (states.ATTACHING, states.RESERVED) and attachment.server_id is None
                    and not attachment.connection):
                session.delete(attachment)
                return

    in_turn(services, work)


def detach(services: Services, context: RequestContext, volume_id: str, attachment_id: str | None, *,
           action: str, forced: bool = False) -> None:
    """Accept the end of an attachment that no server uses, under the policy `action`.

    What was said of the volume ends with it, as in the reference, and with `forced` an error, too; a volume without any
    attachment is detached already. Raises Invalid when it is not clear which one is meant, Conflict when a server has
    the volume: detach it there.
    """

    def work(session: orm.Session) -> list[str]:
        volume = to_change(services, session, context, volume_id, action)
        check_idle(session, volume.id)
        words = (*states.SAID, *(states.ERRORS if forced else ()))
        attachment = _meant(session, volume.id, attachment_id)
        if attachment is None:
            _forget_word(session, volume, words)
            return []
        if attachment.server_id is not None and session.scalar(sa.select(Server.id).where(
                Server.id == attachment.server_id, Server.deleted_at.is_(None))) is not None:
            raise errors.Conflict(reason=f"Server {attachment.server_id} has volume {volume.id}: detach it from the "
                                         "server.")
        _forget_word(session, volume, words)
        return [accept(session, context, kinds.DELETE_ATTACHMENT, Target("volume", volume.id),
                       kinds.VolumeConnection(attachment_id=attachment.id), project_id=volume.project_id,
                       agent=agent_of(session, volume)).id]

    services.waker.wake(context, *in_turn(services, work))


def _forget_word(session: orm.Session, volume: Volume, words: Collection[str]) -> None:
    """Let a volume show again what it is, where one of `words` is its state."""
    if volume.backend_id is not None:
        moves.VOLUME.move_all(session, states.READY, {"fault": None}, only_from=words, where=(Volume.id == volume.id,))


def _attachments(session: orm.Session, volume_id: str) -> list[VolumeAttachment]:
    return list(session.scalars(sa.select(VolumeAttachment).where(VolumeAttachment.volume_id == volume_id)
                                .order_by(VolumeAttachment.created_at, VolumeAttachment.id)))


def _meant(session: orm.Session, volume_id: str, attachment_id: str | None) -> VolumeAttachment | None:
    found = _attachments(session, volume_id)
    if not found and attachment_id is None:
        return None
    if attachment_id is not None:
        found = [attachment for attachment in found if attachment.id == ids.canonical(attachment_id)]
    if not found:
        raise errors.Invalid(reason=f"Volume {volume_id} has no such attachment.")
    if len(found) > 1:
        raise errors.Invalid(reason=f"Volume {volume_id} is attached more than once: an attachment_id is required.")
    return found[0]
