"""The actions that make images of servers: createImage and createBackup."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import falcon

from api import links
from api.core.server import images
from api.openstack.compute import params, schema
from api.openstack.compute.microversion import since, until
from api.services import Services

CREATE_IMAGE: Final = {
    "type": "object", "required": ["name"], "additionalProperties": False,
    "properties": {"name": schema.NAME, "metadata": schema.METADATA}}
CREATE_BACKUP: Final = {
    "type": "object", "required": ["name", "backup_type", "rotation"], "additionalProperties": False,
    "properties": {"name": schema.NAME, "backup_type": {"type": "string"}, "rotation": schema.whole_number(0),
                   "metadata": schema.METADATA}}
# Up to 2.38 metadata counts as a server's does; since 2.45 the body, not the Location, names the image.
_BOUNDED: Final = until(38)
_IN_BODY: Final = since(45)


def create_image(services: Services, request: falcon.Request, response: falcon.Response, server_id: str,
                 argument: Mapping[str, Any]) -> None:
    """Accept an image of a server."""
    image_id = images.create_image(
        services, params.caller(request), server_id, argument["name"], argument.get("metadata", {}),
        bounded=request.context.version in _BOUNDED)
    _answer(services, request, response, image_id)


def create_backup(services: Services, request: falcon.Request, response: falcon.Response, server_id: str,
                  argument: Mapping[str, Any]) -> None:
    """Accept a backup of a server; one that is rotated away at once has no Location."""
    rotation = schema.number_in(argument, "rotation", 0)
    image_id = images.create_backup(
        services, params.caller(request), server_id, argument["name"], argument["backup_type"], rotation,
        argument.get("metadata", {}), bounded=request.context.version in _BOUNDED)
    _answer(services, request, response, image_id, location=rotation > 0)


def _answer(services: Services, request: falcon.Request, response: falcon.Response, image_id: str, *,
            location: bool = True) -> None:
    response.status = 202
    if request.context.version in _IN_BODY:
        response.media = {"image_id": image_id}
    elif location:
        response.set_header("Location", f"{links.base_url(services.conf, request)}/image/v2/images/{image_id}")
