"""The action `rebuild`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import falcon

from api.core.server import rebuild as server_rebuild
from api.core.server import servers as core_servers
from api.openstack.compute import params, schema
from api.openstack.compute.microversion import ALWAYS, Span, Version, since, until
from api.openstack.compute.schema import Property, members
from api.openstack.compute.server.action import Action, Rows
from api.openstack.compute.server.body import new_password, refuse_unsupported, user_data_in
from api.openstack.compute.server.servers import view_for
from api.openstack.compute.server.views import FULL_UPDATE, short_update
from api.services import Services
from hostler import ids

_KEY: Final = since(54)
_USER_DATA: Final = since(57)
_REIMAGES: Final = since(93)
_MEMBERS: Final = (
    Property("imageRef", schema.UUID, required=ALWAYS), Property("adminPass", {"type": "string", "maxLength": 255}),
    Property("name", schema.NAME), Property("metadata", schema.METADATA),
    Property("preserve_ephemeral", schema.BOOLEAN), Property("OS-DCF:diskConfig", {"enum": ["AUTO", "MANUAL"]}),
    Property("accessIPv4", {"type": "string", "anyOf": [{"format": "ipv4"}, {"const": ""}]}),
    Property("accessIPv6", {"type": "string", "anyOf": [{"format": "ipv6"}, {"const": ""}]}),
    Property("personality", {"type": "array"}, until(56)), Property("description", schema.DESCRIPTION, since(19)),
    Property("key_name", schema.NAME_OR_NULL, _KEY),
    Property("user_data", {"type": ["string", "null"], "maxLength": 65535}, _USER_DATA),
    Property("trusted_image_certificates", {"type": ["array", "null"], "maxItems": 50}, since(63)),
    Property("hostname", schema.HOSTNAME, Span((2, 90), (2, 93))), Property("hostname", schema.FQDN, since(94)),
)
_EDGES: Final = (1, 19, 54, 57, 63, 90, 94)
_COLUMNS: Final = {"name": "name", "metadata": "extra", "description": "description", "key_name": "key_name",
                   "hostname": "hostname"}


def _changes(asked: Mapping[str, Any]) -> dict[str, Any]:
    found = {_COLUMNS[name]: value for name, value in asked.items() if name in _COLUMNS}
    for name, column in (("accessIPv4", "access_ip_v4"), ("accessIPv6", "access_ip_v6")):
        if name in asked:
            found[column] = schema.canonical_address(asked[name])
    if "user_data" in asked:
        found["user_data"] = user_data_in(asked)
    if "OS-DCF:diskConfig" in asked:
        found["auto_disk_config"] = asked["OS-DCF:diskConfig"] == "AUTO"
    return found


def _rebuild(services: Services, request: falcon.Request, response: falcon.Response, server_id: str,
             asked: Mapping[str, Any]) -> None:
    context, version = params.caller(request), request.context.version
    refuse_unsupported(asked)
    password = asked.get("adminPass") or new_password()
    server_rebuild.rebuild(services, context, server_id, server_rebuild.Rebuilt(
        image_id=ids.canonical(asked["imageRef"]) or asked["imageRef"], admin_password=password,
        preserve_ephemeral=schema.truth(asked.get("preserve_ephemeral")), reimages=version in _REIMAGES,
        changes=_changes(asked)))
    view = _view(services, request, server_id, version)
    response.status = 202
    response.set_header("Location", view["links"][0]["href"])
    response.media = {"server": {**view, "adminPass": password}}


def _view(services: Services, request: falcon.Request, server_id: str, version: Version) -> dict[str, Any]:
    context = params.caller(request)
    row, related = core_servers.show(services, context, server_id, user_data=True)
    full = view_for(services, request, context).one(row, related)
    view = full if version in FULL_UPDATE else short_update(full)
    if version in _KEY:
        view["key_name"] = row.key_name
    view.pop("OS-EXT-SRV-ATTR:user_data", None)  # a rebuild answers with it under its short name
    if version in _USER_DATA:
        view["user_data"] = row.user_data
    return view


def _span(index: int) -> Span:
    last = index == len(_EDGES) - 1
    return since(_EDGES[index]) if last else Span((2, _EDGES[index]), (2, _EDGES[index + 1] - 1))


ACTIONS: Final[Mapping[str, Rows]] = {"rebuild": tuple(
    Action(argument=members(_MEMBERS, _span(index).since), span=_span(index), answer=_rebuild)
    for index in range(len(_EDGES)))}
