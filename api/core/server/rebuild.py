"""Accepts the rebuilding of a server: its record says at once what it is to be, its host makes it so."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import orm

from api.core.outcomes import in_turn
from api.core.server import inputs
from api.core.server.images import is_volume_backed
from api.core.server.servers import check_idle, to_change
from api.core.volume import rows as volume_rows
from api.core.volume.reimage import check_one_server, image_for
from api.services import Services
from hostler import errors
from hostler.context import RequestContext
from hostler.db.models import Image, Server, Volume, VolumeAttachment
from hostler.operations.accept import Target, accept
from hostler.operations.kinds import server as kinds
from hostler.resources import quota, revisions
from hostler.resources.server import states
from hostler.resources.server.properties import check_properties
from hostler.resources.server.status import check_may_start
from hostler.resources.volume.volume_record import image_metadata_of

_POLICY: Final = "os_compute_api:servers:rebuild"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rebuilt:
    """What a rebuild asks for; `changes` are columns of the server, and `key_name` (None: no key) when it is among
    them. With `reimages` the content of a boot volume is replaced, too."""

    image_id: str
    admin_password: str
    preserve_ephemeral: bool = False
    reimages: bool = False
    changes: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def rebuild(services: Services, context: RequestContext, server_id: str, wanted: Rebuilt) -> None:
    """Accept a rebuild; raises Invalid for an image that does not fit, InvalidState, ResourceLocked."""

    def work(session: orm.Session) -> str:
        server = to_change(services, session, context, server_id, _POLICY)
        check_may_start(kinds.REBUILD, server.id, server.vm_state, said_as="rebuild")
        check_idle(session, server, "rebuild")
        if server.host_id is None:
            raise errors.Conflict(reason=f"Instance {server.id} is not ready: it is on no host.")
        if wanted.preserve_ephemeral:
            raise errors.Invalid(reason="The current driver does not support preserving ephemeral partitions.")
        image = inputs.usable_image(session, context, wanted.image_id)
        arguments = kinds.Rebuild(admin_password=wanted.admin_password, stopped=server.vm_state == states.STOPPED)
        locks: list[Target] = []
        if is_volume_backed(session, server):
            if wanted.reimages:
                arguments = _reimage(services, session, context, server, image, arguments)
                locks.append(Target("volume", str(arguments.volume_id)))
            elif image.id != boot_image_id(session, server):
                raise errors.Invalid(reason=f"Image {image.id} is unacceptable: Unable to rebuild with a different "
                                            "image for a volume-backed server.")
        else:
            inputs.check_fit(image, server)
            server.image_id, server.image_properties = image.id, dict(image.properties)
        check_properties(server.image_properties, server.flavor.get("extra_specs", {}), vcpus=server.vcpus)
        _change(services, session, context, server, dict(wanted.changes))
        session.flush()
        revisions.server_changed(session, server.id)
        return accept(session, context, kinds.REBUILD, Target("server", server.id), arguments, also_lock=locks,
                      project_id=server.project_id, host_id=server.host_id).id

    services.waker.wake(context, in_turn(services, work))


def _change(services: Services, session: orm.Session, context: RequestContext, server: Server,
            changes: dict[str, Any]) -> None:
    if "extra" in changes:
        quota.check_items(session, services.conf, server.project_id, "metadata_items", len(changes["extra"]),
                          len(server.extra))
    if "key_name" in changes:
        name = changes["key_name"]
        changes["public_key"] = inputs.public_key(session, context, name) if name is not None else None
    for column, value in changes.items():
        setattr(server, column, value)


def _reimage(services: Services, session: orm.Session, context: RequestContext, server: Server, image: Image,
             arguments: kinds.Rebuild) -> kinds.Rebuild:
    """Check that the volume a server boots from can hold an image, and hold it; returns what the operation needs."""
    inputs.check_memory(image, server)
    attachment = session.scalars(sa.select(VolumeAttachment).where(
        VolumeAttachment.server_id == server.id, VolumeAttachment.boot_index == 0)).one()
    volume = session.get_one(Volume, attachment.volume_id)
    volume_rows.hold(services, session, volume)
    volume_rows.check_status(session, volume, "in-use")
    check_one_server(session, volume)
    image_for(services, session, context, volume, image.id)
    server.image_properties = image_metadata_of(image)
    return dataclasses.replace(arguments, image_id=image.id, attachment_id=attachment.id, volume_id=volume.id)


def boot_image_id(session: orm.Session, server: Server) -> str | None:
    """Return the image that the volume a server boots from was made from."""
    from_volume = session.scalar(sa.select(Volume.image_metadata).join(
        VolumeAttachment, VolumeAttachment.volume_id == Volume.id).where(
        VolumeAttachment.server_id == server.id, VolumeAttachment.boot_index == 0))
    return (from_volume or {}).get("image_id")
