"""Shelving: a server becomes an image (or volumes alone) and leaves its host; unshelving builds it again from that."""

from __future__ import annotations

import dataclasses

import sqlalchemy as sa
from sqlalchemy import orm

from api.core.outcomes import in_turn
from api.core.server import images, inputs
from api.core.server.servers import check_idle, to_change
from api.services import Services
from hostler import errors
from hostler.context import RequestContext
from hostler.db.models import Host, Image, Server, Volume, VolumeAttachment, Zone
from hostler.operations.accept import Target, accept
from hostler.operations.kinds import server as kinds
from hostler.operations.kinds.arguments import Arguments
from hostler.resources.server import states
from hostler.resources.server.status import check_may_start

_POLICY = "os_compute_api:os-shelve:"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Destination:
    """Where a server is to be unshelved; a zone that is named replaces its own, and None then means any."""

    zone: str | None = None
    names_zone: bool = False
    host: str | None = None


def shelve(services: Services, context: RequestContext, server_id: str) -> None:
    """Accept shelving; raises NotFound, Forbidden, InvalidState, ResourceLocked, QuotaExceeded (of images)."""

    def work(session: orm.Session) -> str:
        server = to_change(services, session, context, server_id, _POLICY + "shelve")
        check_idle(session, server, "shelve")
        check_may_start(kinds.SHELVE, server.id, server.vm_state, said_as="shelve")
        if server.host_id is None:
            raise errors.Conflict(reason=f"Instance {server.id} is not ready: it is on no host.")
        image = None
        if not images.is_volume_backed(session, server):
            name = inputs.numbered(server.name, "-shelved")
            image = images.new_image(services, session, context, server, name, "snapshot", {})
        arguments = kinds.Shelve(image_id=image.id if image is not None else None,
                                 offload=image is None or services.conf.compute.shelved_offload_time == 0)
        return accept(session, context, kinds.SHELVE, Target("server", server.id), arguments,
                      also_lock=[Target("image", image.id)] if image is not None else [],
                      project_id=server.project_id, host_id=server.host_id).id

    services.waker.wake(context, in_turn(services, work))


def unshelve(services: Services, context: RequestContext, server_id: str, destination: Destination) -> None:
    """Accept unshelving; raises Invalid for an unknown zone or host, Conflict where they contradict each other."""

    def work(session: orm.Session) -> str:
        server = to_change(services, session, context, server_id, _POLICY + "unshelve")
        check_idle(session, server, "unshelve")
        check_may_start(kinds.UNSHELVE, server.id, server.vm_state, said_as="unshelve")
        _check_image(session, server)
        if destination.names_zone or destination.host is not None:
            _take_destination(services, session, context, server, destination)
        image = [Target("image", server.shelved_image_id)] if server.shelved_image_id is not None else []
        return accept(session, context, kinds.UNSHELVE, Target("server", server.id), Arguments(), also_lock=image,
                      project_id=server.project_id, host_id=server.host_id).id

    services.waker.wake(context, in_turn(services, work))


def _check_image(session: orm.Session, server: Server) -> None:
    if server.host_id is not None or server.shelved_image_id is None:
        return
    image = session.get(Image, server.shelved_image_id)
    if image is None or image.deleted_at is not None or image.status != "active":
        raise errors.Conflict(reason=f"Unshelve attempted but the image {server.shelved_image_id} cannot be found.")


def _take_destination(services: Services, session: orm.Session, context: RequestContext, server: Server,
                      destination: Destination) -> None:
    """Check where the server is to be, and write it into its record."""
    if server.vm_state != states.SHELVED_OFFLOADED:
        raise errors.Conflict(reason=(
            f'Specifying an availability zone or a host when unshelving server "{server.id}" with status '
            f'"{server.vm_state}" is not supported. The server status must be SHELVED_OFFLOADED.'))
    zone = destination.zone if destination.names_zone else server.requested_zone
    if destination.names_zone and destination.zone:
        _check_zone(services, session, context, server, destination.zone)
    if destination.host is not None:
        services.policy.check(context, _POLICY + "unshelve_to_host")
        _check_host(session, destination.host, zone)
    server.requested_zone, server.requested_host = zone or None, destination.host


def _check_zone(services: Services, session: orm.Session, context: RequestContext, server: Server, zone: str) -> None:
    if ":" in zone:
        raise errors.Invalid(reason="The requested availability zone is not available")
    inputs.placement(services, session, context, zone=zone, host=None, hypervisor_hostname=None)
    if services.conf.volume.cross_az_attach:
        return
    for volume in session.scalars(sa.select(Volume).join(VolumeAttachment, VolumeAttachment.volume_id == Volume.id)
                                  .where(VolumeAttachment.server_id == server.id)):
        if volume.zone != zone:
            raise errors.Conflict(reason=(
                f"The specified availability zone does not match the volume {volume.id} attached to the server. "
                f"Specified availability zone is {zone}. Volume is in {volume.zone}."))


def _check_host(session: orm.Session, host: str, zone: str | None) -> None:
    row = session.execute(sa.select(Host.name, Zone.name.label("zone")).join(Zone, Zone.id == Host.zone_id)
                          .where(Host.name == host)).one_or_none()
    if row is None:
        raise errors.Invalid(reason=f"Compute host {host} could not be found.")
    if zone and row.zone != zone:
        raise errors.Conflict(reason=f'Host "{host}" is not in the availability zone "{zone}".')
