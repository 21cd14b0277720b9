"""How the Image API prints things."""

from __future__ import annotations

from typing import Any

from api.core.image.access import TaggedImage
from api.core.image.data import STORE_ID
from hostler import clock, ids
from hostler.db.models import ImageMember


def image_view(tagged: TaggedImage) -> dict[str, Any]:
    """Return an image as published: attributes and properties side by side."""
    image = tagged.image
    path = f"/v2/images/{image.id}"
    stores = {"stores": STORE_ID} if image.sha256 is not None else {}
    return {
        **image.properties,
        "id": image.id, "name": image.name, "status": image.status, "visibility": image.visibility,
        "protected": image.protected, "os_hidden": image.os_hidden, "disk_format": image.disk_format,
        "container_format": image.container_format, "min_disk": image.min_disk_gib, "min_ram": image.min_ram_mib,
        "size": image.size_bytes, "virtual_size": image.virtual_size_bytes, "checksum": image.md5,
        "os_hash_algo": "sha512" if image.sha512 else None, "os_hash_value": image.sha512,
        "owner": ids.bare(image.project_id) if image.project_id else None, "tags": list(tagged.tags),
        "created_at": clock.iso_z(image.created_at), "updated_at": clock.iso_z(image.updated_at),
        "self": path, "file": f"{path}/file", "schema": "/v2/schemas/image", **stores,
    }


def member_view(member: ImageMember) -> dict[str, Any]:
    """Return a member as published."""
    return {"image_id": member.image_id, "member_id": ids.bare(member.project_id), "status": member.status,
            "created_at": clock.iso_z(member.created_at), "updated_at": clock.iso_z(member.updated_at),
            "schema": "/v2/schemas/member"}
