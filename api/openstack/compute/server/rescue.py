"""The action `rescue`."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, Final

from api.core.server import rescue as server_rescue
from api.openstack.compute import schema
from api.openstack.compute.microversion import since, until
from api.openstack.compute.server.action import Action, Rows
from api.openstack.compute.server.body import new_password
from api.services import Services
from hostler import ids
from hostler.context import RequestContext

_RESCUE: Final = {"type": ["object", "null"], "additionalProperties": False, "properties": {
    "adminPass": {"type": "string", "maxLength": 255}, "rescue_image_ref": schema.UUID}}


def _rescue(services: Services, context: RequestContext, server_id: str, argument: Any, *,
            volume_backed: bool) -> dict[str, str]:
    asked = argument or {}
    password = asked.get("adminPass") or new_password()
    image_id = asked.get("rescue_image_ref")
    server_rescue.rescue(services, context, server_id, password=password, volume_backed=volume_backed,
                         image_id=ids.canonical(image_id) if image_id is not None else None)
    return {"adminPass": password}


ACTIONS: Final[Mapping[str, Rows]] = {
    "rescue": (Action(functools.partial(_rescue, volume_backed=False), _RESCUE, until(86)),
               Action(functools.partial(_rescue, volume_backed=True), _RESCUE, since(87)))}
