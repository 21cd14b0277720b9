"""From a server's records to what its host must know."""

from __future__ import annotations

from oslo_config import cfg
from sqlalchemy import orm

from hostler import errors
from hostler.db.models import Image, Server
from hostler.images.spec import image_spec
from hostler.images.store import ImageStore
from hostler.resources.port_specs import port_specs
from hostler.resources.specs import ServerSpec


def server_spec(session: orm.Session, conf: cfg.ConfigOpts, images: ImageStore, server_id: str, *,
                admin_password: str | None = None) -> ServerSpec:
    """Return a server's spec; raises NotFound when the server has no record."""
    server = session.get(Server, server_id)
    if server is None:
        raise errors.NotFound(resource="Instance", id=server_id)
    image = session.get(Image, server.image_id) if server.image_id else None
    # Without its image a server that has its disk still starts; one that must be built is refused by its host.
    usable = image is not None and image.status == "active" and image.deleted_at is None
    ports = port_specs(session, server_ids=[server_id]).get(server_id, ())
    return ServerSpec(
        id=server.id, name=server.name, hostname=server.hostname, project_id=server.project_id,
        user_id=server.user_id, vcpus=server.vcpus, ram_mib=server.ram_mib, root_gib=server.root_gib,
        ephemeral_gib=server.ephemeral_gib, swap_mib=server.swap_mib,
        flavor_name=server.flavor.get("name", ""), extra_specs=server.flavor.get("extra_specs", {}),
        image=image_spec(image, conf, images) if image is not None and usable else None,
        ports=tuple(ports), metadata=server.extra, key_name=server.key_name, public_key=server.public_key,
        user_data=server.user_data, config_drive=server.config_drive, admin_password=admin_password,
        availability_zone=server.requested_zone or "nova", launch_index=server.launch_index,
        reservation_id=server.reservation_id)
