"""Rescue: a server runs from a small disk made from another image, with its own disks beside it.

The image is the one the request names, else the one the operator configured, else the server's own.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from sqlalchemy import orm

from api.core.outcomes import in_turn
from api.core.server import inputs
from api.core.server.servers import check_idle, to_change
from api.services import Services
from hostler import errors
from hostler.context import RequestContext
from hostler.db.models import Image, Server, VolumeAttachment
from hostler.operations.accept import Target, accept
from hostler.operations.kinds import server as kinds
from hostler.resources.server.rescue_device import check_rescue_device, rescue_device
from hostler.resources.server.status import check_may_start

_FORMATS: Final = ("qcow2", "raw")


def rescue(services: Services, context: RequestContext, server_id: str, *, image_id: str | None, password: str,
           volume_backed: bool) -> None:
    """Accept a rescue; `volume_backed` says whether the caller's version of the API knows it for such servers.

    Raises NotFound, Forbidden, InvalidState, ResourceLocked, and Invalid for an image that cannot be used.
    """

    def work(session: orm.Session) -> str:
        server = to_change(services, session, context, server_id, "os_compute_api:os-rescue")
        check_idle(session, server, "rescue")
        check_may_start(kinds.RESCUE, server.id, server.vm_state, said_as="rescue")
        if server.host_id is None:
            raise errors.Conflict(reason=f"Instance {server.id} is not ready: it is on no host.")
        if not volume_backed and _boots_from_volume(session, server):
            raise _not_rescuable(server, "Cannot rescue a volume-backed instance")
        image = _image(services, session, context, server, image_id)
        return accept(session, context, kinds.RESCUE, Target("server", server.id),
                      kinds.Rescue(image_id=image.id, admin_password=password),
                      project_id=server.project_id, host_id=server.host_id).id

    services.waker.wake(context, in_turn(services, work))


def _image(services: Services, session: orm.Session, context: RequestContext, server: Server,
           asked: str | None) -> Image:
    configured = services.conf.compute.rescue_image
    if asked is not None:
        try:
            image = inputs.usable_image(session, context, asked)
        except errors.Invalid:
            raise errors.Invalid(reason=f"Requested rescue image '{asked}' is not supported") from None
    else:
        found = session.get(Image, configured or server.image_id or "")
        if found is None or found.deleted_at is not None or found.status != "active":
            raise _not_rescuable(server, "its image is gone; name another one" if configured or server.image_id
                                 else "it has no image of its own; name one")
        image = found
    check_rescue_device(image.properties)
    accepted = _FORMATS if rescue_device(image.properties) is None else (*_FORMATS, "iso")
    if (image.disk_format or "raw") not in accepted:
        raise errors.Invalid(reason=f"Requested rescue image '{image.id}' is not supported")
    return image


def _boots_from_volume(session: orm.Session, server: Server) -> bool:
    return session.scalar(sa.select(VolumeAttachment.id).where(
        VolumeAttachment.server_id == server.id, VolumeAttachment.boot_index == 0)) is not None


def _not_rescuable(server: Server, reason: str) -> errors.Invalid:
    return errors.Invalid(reason=f"Instance {server.id} cannot be rescued: {reason}")
