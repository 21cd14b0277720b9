"""Builds what a host must know of a server from the server's records."""

from __future__ import annotations

import dataclasses
from typing import Any

import sqlalchemy as sa
from oslo_config import cfg
from sqlalchemy import orm

from hostler import errors
from hostler.db.models import Image, Server, Volume, VolumeAttachment
from hostler.images.spec import image_spec
from hostler.images.store import ImageStore
from hostler.resources.network.port_specs import port_specs
from hostler.resources.server import states
from hostler.resources.server.rescue_device import rescue_device
from hostler.resources.server.specs import AttachedSpec, ConnectionSpec, ImageSpec, RescueSpec, ServerSpec

# Built once: every boot, action and reconciliation runs them.
_IMAGE_COLUMNS: Any = orm.Bundle("image", Image.id, Image.status, Image.sha256, Image.size_bytes,
                                 Image.virtual_size_bytes, Image.disk_format, Image.properties)
_USABLE = sa.and_(Image.status == "active", Image.deleted_at.is_(None))
_IS_SHELVED = sa.and_(Server.vm_state == states.SHELVED_OFFLOADED, Server.shelved_image_id.is_not(None))
_SERVER = sa.select(
    Server.id, Server.name, Server.hostname, Server.project_id, Server.user_id, Server.vm_state, Server.vcpus,
    Server.ram_mib, Server.root_gib, Server.ephemeral_gib, Server.swap_mib, Server.flavor,
    Server.image_properties, Server.rescue_image_id, Server.iso_image_id, Server.extra,
    Server.boot_order, Server.cpu_mode, Server.key_name,
    Server.public_key, Server.user_data, Server.config_drive, Server.encrypted_password, Server.requested_zone,
    Server.launch_index, Server.reservation_id, Server.revision,
    sa.exists().where(VolumeAttachment.server_id == Server.id).label("has_volumes"),
    _IS_SHELVED.label("is_shelved"), _IMAGE_COLUMNS, _USABLE.label("image_is_usable"),
).outerjoin(Image, Image.id == sa.case((_IS_SHELVED, Server.shelved_image_id), else_=Server.image_id)
            ).where(Server.id == sa.bindparam("server"))
_IMAGE: Any = sa.select(_IMAGE_COLUMNS).where(Image.id == sa.bindparam("image"), _USABLE)
_ATTACHED = (sa.select(VolumeAttachment, Volume.size_gib, Volume.readonly, Volume.multiattach)
             .join(Volume, Volume.id == VolumeAttachment.volume_id)
             .where(VolumeAttachment.server_id == sa.bindparam("server"))
             .order_by(VolumeAttachment.device, VolumeAttachment.id))


def server_spec(session: orm.Session, conf: cfg.ConfigOpts, images: ImageStore, server_id: str, *,
                admin_password: str | None = None) -> ServerSpec:
    """Return a server's spec; raises NotFound when the server has no record."""
    server = session.execute(_SERVER, {"server": server_id}).one_or_none()
    if server is None:
        raise errors.NotFound(resource="Instance", id=server_id)
    ports = port_specs(session, server_ids=[server_id]).get(server_id, ())
    return ServerSpec(
        id=server.id, name=server.name, hostname=server.hostname, project_id=server.project_id,
        user_id=server.user_id, vcpus=server.vcpus, ram_mib=server.ram_mib, root_gib=server.root_gib,
        ephemeral_gib=server.ephemeral_gib, swap_mib=server.swap_mib,
        flavor_name=server.flavor.get("name", ""), extra_specs=server.flavor.get("extra_specs", {}),
        image_properties=server.image_properties,
        # Without its image a server that has its disk still starts; one that must be built is refused by its host.
        image=_root_image(conf, images, server), on_disc=server.image.disk_format == "iso",
        ports=tuple(ports), volumes=attached_specs(session, server_id) if server.has_volumes else (),
        metadata=server.extra,
        key_name=server.key_name, public_key=server.public_key, user_data=server.user_data,
        config_drive=server.config_drive, admin_password=admin_password, encrypted_password=server.encrypted_password,
        availability_zone=server.requested_zone or "nova", launch_index=server.launch_index,
        reservation_id=server.reservation_id, revision=server.revision,
        rescue=rescue_spec(session, conf, images, server.rescue_image_id)
        if server.vm_state == states.RESCUED else None,
        iso=usable_image_spec(session, conf, images, server.iso_image_id),
        boot_order=tuple(server.boot_order or ()), cpu_mode=server.cpu_mode)


def rescue_spec(session: orm.Session, conf: cfg.ConfigOpts, images: ImageStore, image_id: str | None) -> RescueSpec:
    """Return how a server is rescued with this image."""
    image = session.get(Image, image_id) if image_id else None
    device, bus = (image and rescue_device(image.properties)) or (None, None)
    return RescueSpec(image=usable_image_spec(session, conf, images, image_id), device=device, bus=bus)


def _root_image(conf: cfg.ConfigOpts, images: ImageStore, server: Any) -> ImageSpec | None:
    if not server.image_is_usable:
        return None
    return dataclasses.replace(image_spec(server.image, conf, images), short_lived=bool(server.is_shelved))


def usable_image_spec(session: orm.Session, conf: cfg.ConfigOpts, images: ImageStore,
                      image_id: str | None) -> ImageSpec | None:
    """Return an image's spec, or None when there is no such image, or none whose data is there."""
    image: Any = session.execute(_IMAGE, {"image": image_id}).scalar_one_or_none() if image_id else None
    return image_spec(image, conf, images) if image is not None else None


def attached_specs(session: orm.Session, server_id: str) -> tuple[AttachedSpec, ...]:
    """Return the volumes that a server's host can reach: those that are merely reserved have no connection yet."""
    rows = session.execute(_ATTACHED, {"server": server_id}).all()
    return tuple(attached_spec(row[0], row) for row in rows if row[0].connection)


def attached_spec(attachment: VolumeAttachment, volume: Any) -> AttachedSpec:
    """Return one attachment's spec; `volume` has the columns size_gib, readonly and multiattach."""
    return AttachedSpec(
        attachment_id=attachment.id, volume_id=attachment.volume_id, size_gib=volume.size_gib,
        connection=ConnectionSpec.from_wire(attachment.connection), device=attachment.device,
        boot_index=attachment.boot_index, readonly=attachment.mode == "ro" or volume.readonly,
        shared=volume.multiattach, tag=attachment.tag)
