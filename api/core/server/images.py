"""Images of servers: a queued image is written together with the operation that fills it.

>>> image = new_image(services, session, context, server, "nightly", "snapshot", {"team": "a"})
>>> accept(session, context, kinds.CREATE_IMAGE, Target("server", server.id), kinds.CreateImage(image_id=image.id),
...        also_lock=[Target("image", image.id)])
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import orm

from api.core.image.images import ATTRIBUTES, MAX_PROPERTIES
from api.core.outcomes import in_turn
from api.core.server import image_disks
from api.core.server import snapshots as server_snapshots
from api.core.server.servers import check_idle, to_change
from api.services import Services
from hostler import errors, ids
from hostler.context import RequestContext
from hostler.db.models import Image, Server, VolumeAttachment
from hostler.operations.accept import Target, accept
from hostler.operations.kinds import server as kinds
from hostler.operations.kinds.kind import A, Kind
from hostler.resources import quota
from hostler.resources.server import states
from hostler.resources.server.hardware import has_guest_agent, must_freeze
from hostler.resources.server.status import check_may_start

_P: Final = "os_compute_api:"
# Of the image that a server was made from, what an image of the server does not take over (as the reference's).
_NOT_INHERITED: Final = frozenset({
    "cache_in_nova", "bittorrent", "img_signature", "img_signature_hash_method", "img_signature_key_type",
    "img_signature_certificate_uuid", "mappings", *image_disks.PROPERTIES})
# What a volume remembers of its image's identity, which is not that of an image of its server.
_OF_VOLUMES: Final = frozenset({"image_id", "image_name"})


def create_image(services: Services, context: RequestContext, server_id: str, name: str,
                 metadata: Mapping[str, str], *, bounded: bool) -> str:
    """Accept an image of a server's disk as it is now; returns the image's id.

    With `bounded` the number of metadata items is checked against the quota. Raises InvalidState, ResourceLocked,
    QuotaExceeded, Invalid.
    """

    def work(session: orm.Session) -> tuple[str, str]:
        server = _subject(services, session, context, server_id, kinds.CREATE_IMAGE, _P + "servers:create_image",
                          "createImage")
        if is_volume_backed(session, server):
            services.policy.check(context, _P + "servers:create_image:allow_volume_backed")
            return _of_volumes(services, session, context, server, name, metadata, bounded=bounded)
        _check_freezable(server)
        image = new_image(services, session, context, server, name, "snapshot", metadata, bounded=bounded)
        return image.id, _accept(session, context, server, kinds.CREATE_IMAGE, kinds.CreateImage(image_id=image.id),
                                 image)

    image_id, operation_id = in_turn(services, work)
    services.waker.wake(context, operation_id)
    return image_id


def create_backup(services: Services, context: RequestContext, server_id: str, name: str, backup_type: str,
                  rotation: int, metadata: Mapping[str, str], *, bounded: bool) -> str:
    """As `create_image`; when it is done, all but the `rotation` newest of the server's backups of this type go."""

    def work(session: orm.Session) -> tuple[str, str]:
        server = _subject(services, session, context, server_id, kinds.CREATE_BACKUP, _P + "os-create-backup",
                          "createBackup")
        if is_volume_backed(session, server):
            raise errors.Invalid(reason="Backup is not supported for volume-backed instances.")
        _check_freezable(server)
        image = new_image(services, session, context, server, name, "backup",
                          {**metadata, "backup_type": backup_type}, bounded=bounded)
        arguments = kinds.CreateBackup(image_id=image.id, backup_type=backup_type, rotation=rotation)
        return image.id, _accept(session, context, server, kinds.CREATE_BACKUP, arguments, image)

    image_id, operation_id = in_turn(services, work)
    services.waker.wake(context, operation_id)
    return image_id


def new_image(services: Services, session: orm.Session, context: RequestContext, server: Server, name: str,
              image_type: str, properties: Mapping[str, str], *, bounded: bool = False) -> Image:
    """Write the queued image that a server's disk will fill; raises Invalid, QuotaExceeded.

    It says what the server's own image says, but for what may not be inherited; `properties` say more.
    """
    project_id = str(context.project_id)
    if bounded:
        quota.check_items(session, services.conf, project_id, "metadata_items", len(properties))
    said = {**_inherited(server), "instance_uuid": server.id, "user_id": ids.bare(str(context.user_id)),
            "image_type": image_type, "image_location": "snapshot", "image_state": "available",
            "owner_id": ids.bare(server.project_id), **properties}
    if context.project_id != server.project_id:
        said["instance_owner"] = ids.bare(server.project_id)
    _check_properties(said)
    quota.claim(services.db, session, services.conf, project_id, {"images": 1})
    base = session.get(Image, server.image_id) if server.image_id is not None else None
    image = Image(
        id=ids.new_id(), name=name, project_id=context.project_id, status="queued",
        # Its owner, if that is another project, must be able to get at it.
        visibility="private" if context.project_id == server.project_id else "shared",
        disk_format="qcow2", container_format="bare", properties=said,
        min_disk_gib=max(base.min_disk_gib if base is not None else 0, server.root_gib),
        min_ram_mib=base.min_ram_mib if base is not None else 0)
    session.add(image)
    session.flush()
    return image


def is_volume_backed(session: orm.Session, server: Server) -> bool:
    """Return whether a server boots from a volume."""
    return session.scalar(sa.select(VolumeAttachment.id).where(
        VolumeAttachment.server_id == server.id, VolumeAttachment.boot_index == 0).limit(1)) is not None


def _of_volumes(services: Services, session: orm.Session, context: RequestContext, server: Server, name: str,
                metadata: Mapping[str, str], *, bounded: bool) -> tuple[str, str]:
    """Write the image of a server that boots from a volume: it names a snapshot of each volume, all made or none."""
    if server.vm_state == states.ACTIVE and must_freeze(server.image_properties):
        raise errors.Conflict(reason=f"Quiescing is not supported in instance {server.id}: it boots from a volume.")
    attachments = server_snapshots.hold_volumes(services, session, server)  # before the project's row is held
    image = new_image(services, session, context, server, name, "snapshot", metadata, bounded=bounded)
    copies = server_snapshots.write(services, session, context, server, attachments, f"snapshot for {name}")
    image.properties = {**image.properties, **image_disks.properties_of(copies)}
    arguments = kinds.CreateImage(image_id=image.id, snapshot_ids=tuple(snapshot.id for _, snapshot in copies))
    return image.id, accept(
        session, context, kinds.CREATE_IMAGE, Target("server", server.id), arguments, project_id=server.project_id,
        also_lock=[Target("image", image.id), *(Target("snapshot", snapshot.id) for _, snapshot in copies),
                   *(Target("volume", attachment.volume_id) for attachment, _ in copies)]).id


def _subject(services: Services, session: orm.Session, context: RequestContext, server_id: str, kind: Kind[Any],
             policy: str, said_as: str) -> Server:
    # A user's lock protects from changes; an image of the server changes nothing.
    server = to_change(services, session, context, server_id, policy, when_locked=True)
    check_may_start(kind, server.id, server.vm_state, said_as=said_as)
    check_idle(session, server, said_as)
    if server.host_id is None:
        raise errors.Conflict(reason=f"Instance {server.id} is not ready: it is on no host.")
    return server


def _check_freezable(server: Server) -> None:
    """Raise Conflict when a running server's file systems must be frozen and its guests have no agent for that."""
    if server.vm_state == states.ACTIVE and must_freeze(server.image_properties) and not has_guest_agent(
            server.image_properties):
        raise errors.Conflict(reason="QEMU guest agent is not enabled")


def _accept(session: orm.Session, context: RequestContext, server: Server, kind: Kind[A], arguments: A,
            image: Image) -> str:
    return accept(session, context, kind, Target("server", server.id), arguments,
                  also_lock=[Target("image", image.id)], project_id=server.project_id, host_id=server.host_id).id


def _inherited(server: Server) -> dict[str, str]:
    properties = {name: value for name, value in server.image_properties.items()
                  if name not in _NOT_INHERITED | ATTRIBUTES | _OF_VOLUMES}
    if server.image_id is not None:
        properties.setdefault("base_image_ref", server.image_id)
    return properties


def _check_properties(properties: Mapping[str, str]) -> None:
    for name in properties:
        if name in ATTRIBUTES:
            raise errors.InvalidField(field="metadata", value=name, reason="It is an attribute of every image.")
    if len(properties) > MAX_PROPERTIES:
        raise errors.InvalidField(field="metadata", value=str(len(properties)), reason="With what it inherits, an "
                                  f"image has at most {MAX_PROPERTIES} properties.")
