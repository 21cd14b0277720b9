"""The published actions that change a server's flavor or host."""

from __future__ import annotations

from typing import Any, Final

from api.core.server import resize as server_resize
from api.openstack.compute import schema
from api.openstack.compute.microversion import since, until
from api.openstack.compute.server.action import Action, Rows
from api.services import Services
from hostler.context import RequestContext

_RESIZE: Final = {"type": "object", "required": ["flavorRef"], "additionalProperties": False, "properties": {
    "flavorRef": {"anyOf": [{"type": "string", "minLength": 1, "maxLength": 255}, {"type": "integer", "minimum": 0}]},
    "OS-DCF:diskConfig": {"enum": ["AUTO", "MANUAL"]}}}
_HOST: Final = {"type": ["object", "null"], "additionalProperties": False, "properties": {
    "host": {**schema.HOST, "type": ["string", "null"]}}}


def _resize(services: Services, context: RequestContext, server_id: str, argument: Any) -> None:
    disk_config = argument.get("OS-DCF:diskConfig")
    server_resize.resize(services, context, server_id, str(argument["flavorRef"]),
                         auto_disk_config=None if disk_config is None else disk_config == "AUTO")


def _migrate(services: Services, context: RequestContext, server_id: str, argument: Any) -> None:
    server_resize.migrate(services, context, server_id, (argument or {}).get("host"))


def _confirm(services: Services, context: RequestContext, server_id: str, _argument: Any) -> None:
    server_resize.confirm(services, context, server_id)


def _revert(services: Services, context: RequestContext, server_id: str, _argument: Any) -> None:
    server_resize.revert(services, context, server_id)


ACTIONS: Final[dict[str, Rows]] = {
    "resize": Action(_resize, _RESIZE),
    "migrate": (Action(_migrate, span=until(55)), Action(_migrate, _HOST, since(56))),
    "confirmResize": Action(_confirm, status=204), "revertResize": Action(_revert),
}
