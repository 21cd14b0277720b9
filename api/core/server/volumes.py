"""Volumes of existing servers: list, show, attach, detach, delete with the server or not.

The server's row is held first, then the volume's; both are locked by the operation.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy import orm

from api.core.outcomes import in_turn
from api.core.server import device_names, volume_limit
from api.core.server.servers import authorised, check_idle, to_change
from api.core.volume.attachments import ATTACHMENT
from api.core.volume.usability import check_zones, usable_volume
from api.services import Services
from hostler import errors, ids
from hostler.context import RequestContext
from hostler.db.models import Host, Server, Volume, VolumeAttachment, Zone
from hostler.operations.accept import Target, accept
from hostler.operations.agents import volume_agent
from hostler.operations.kinds import server as kinds
from hostler.query.paging import Query, read_page
from hostler.resources.server import states
from hostler.resources.server.status import check_may_start
from hostler.resources.volume import records as volume_records
from hostler.resources.volume import states as volume_states

_POLICY = "os_compute_api:os-volumes-attachments:"
# A volume for several servers may be given to another one, and a volume that is let go of to the next.
_BEHIND = frozenset({kinds.ATTACH_VOLUME.name, kinds.DETACH_VOLUME.name})
_FIRST_ATTACHED_FIRST = (("created_at", False), ("device", False))


def list_attachments(services: Services, context: RequestContext, server_id: str, *, limit: int,
                     offset: int) -> Sequence[VolumeAttachment]:
    """Return a page of a server's attachments, the first to be attached first."""
    row = authorised(services, context, server_id, _POLICY + "index")
    with services.db.reading() as session:
        return read_page(session, ATTACHMENT, Query(sort=_FIRST_ATTACHED_FIRST, limit=limit, offset=offset),
                         [VolumeAttachment.server_id == row.id]).rows


def show(services: Services, context: RequestContext, server_id: str, volume_id: str) -> VolumeAttachment:
    """Return a volume's attachment to a server; raises NotFound."""
    row = authorised(services, context, server_id, _POLICY + "show")
    with services.db.reading() as session:
        return _find(session, row.id, volume_id)


def attach(services: Services, context: RequestContext, server_id: str, volume_id: str, *, device: str | None = None,
           tag: str | None = None, delete_on_termination: bool = False,
           multiattach_refusal: str | None = None) -> VolumeAttachment:
    """Accept attaching a volume; returns the attachment, which is only reserved until the operation ends.

    Raises NotFound, InvalidState, ResourceLocked, Invalid for an unusable volume, Conflict for a device
    name in use, Forbidden when the server has as many as its host can give it.
    """
    def work(session: orm.Session) -> tuple[VolumeAttachment, str]:
        server = to_change(services, session, context, server_id, _POLICY + "create")
        check_idle(session, server, "attach_volume")
        check_may_start(kinds.ATTACH_VOLUME, server.id, server.vm_state, said_as="attach_volume")
        volume_limit.check_attach(session, server)
        volume = usable_volume(services, session, context, volume_id, server_id=server.id,
                               multiattach_refusal=multiattach_refusal)
        if server.vm_state == states.SHELVED_OFFLOADED:
            _check_offloaded(volume, tag)
        check_zones(services, volume, server.id, _zone_of(session, server) or volume.zone)
        attachment = VolumeAttachment(
            id=ids.new_id(), volume_id=volume.id, server_id=server.id, state=volume_states.RESERVED,
            mode="ro" if volume.readonly else "rw", device=device_names.choose(device, _used(session, server)),
            delete_on_termination=delete_on_termination, tag=tag)
        session.add(attachment)
        session.flush()
        place = volume_records.place_of_volume(session, volume.id)
        operation = accept(
            session, context, kinds.ATTACH_VOLUME, Target("server", server.id),
            kinds.ServerVolume(attachment_id=attachment.id, volume_id=volume.id),
            also_lock=[Target("volume", volume.id)], project_id=server.project_id,
            agent=volume_agent(place.node) if place is not None else None)
        return attachment, operation.id

    attachment, operation_id = in_turn(services, work, behind=_BEHIND)
    services.waker.wake(context, operation_id)
    return attachment


def detach(services: Services, context: RequestContext, server_id: str, volume_id: str) -> None:
    """Accept detaching a volume; raises NotFound, InvalidState, ResourceLocked, Invalid for the root disk."""

    def work(session: orm.Session) -> str:
        server = to_change(services, session, context, server_id, _POLICY + "delete")
        attachment = _find(session, server.id, volume_id)
        check_idle(session, server, "detach_volume")
        check_may_start(kinds.DETACH_VOLUME, server.id, server.vm_state, said_as="detach_volume")
        if attachment.boot_index == 0:
            raise errors.Invalid(reason="Cannot detach a root device volume")
        services.db.lock_row(session, Volume, Volume.id == attachment.volume_id)
        return accept(
            session, context, kinds.DETACH_VOLUME, Target("server", server.id),
            kinds.ServerVolume(attachment_id=attachment.id, volume_id=attachment.volume_id),
            also_lock=[Target("volume", attachment.volume_id)], project_id=server.project_id,
            host_id=server.host_id).id

    services.waker.wake(context, in_turn(services, work, behind=_BEHIND))


def update(services: Services, context: RequestContext, server_id: str, volume_id: str, *,
           delete_on_termination: bool | None) -> None:
    """Set whether a volume is deleted with its server; raises NotFound, ResourceLocked."""

    def work(session: orm.Session) -> None:
        server = to_change(services, session, context, server_id, _POLICY + "update")
        attachment = _find(session, server.id, volume_id)
        check_idle(session, server, "update_volume_attachment")
        if delete_on_termination is not None:
            attachment.delete_on_termination = delete_on_termination

    in_turn(services, work)


def _check_offloaded(volume: Volume, tag: str | None) -> None:
    """Raise Invalid for what the host that a server will be on may not support, as the reference does."""
    if tag is not None:
        raise errors.Invalid(reason="Tagged volume attachment is not supported for shelved-offloaded instances.")
    if volume.multiattach:
        raise errors.Invalid(reason="Attaching multiattach volumes is not supported for shelved-offloaded instances.")


def _find(session: orm.Session, server_id: str, volume_id: str) -> VolumeAttachment:
    found = session.scalars(sa.select(VolumeAttachment).where(
        VolumeAttachment.server_id == server_id,
        VolumeAttachment.volume_id == (ids.canonical(volume_id) or ""))).one_or_none()
    if found is None:
        raise errors.NotFound(f"volume_id not found: {volume_id}", resource="volume", id=volume_id)
    return found


def _used(session: orm.Session, server: Server) -> set[str]:
    taken = session.scalars(sa.select(VolumeAttachment.device).where(VolumeAttachment.server_id == server.id))
    return {*(name for name in taken if name is not None),
            *device_names.local_names(ephemeral_gib=server.ephemeral_gib, swap_mib=server.swap_mib)}


def _zone_of(session: orm.Session, server: Server) -> str | None:
    """Return the zone a server is in: that of its host, else the one asked for."""
    if server.host_id is None:
        return server.requested_zone
    return session.scalar(sa.select(Zone.name).join(Host, Host.zone_id == Zone.id).where(Host.id == server.host_id))
