"""The action `evacuate`, as each microversion spells it.

Until 2.13 the caller says whether the storage is shared, and gets the password; since 2.14 the host finds out. 2.29 to
2.67 know `force`, which in the reference skips the scheduler. Here the scheduler checks and claims every target, so it
only asks for a named one. Since 2.95 the server is off afterwards, so that somebody may look at its disks first.
"""

from __future__ import annotations

from typing import Any, Final

from api.core.server import evacuate
from api.openstack.compute import schema
from api.openstack.compute.microversion import Span, since, until
from api.openstack.compute.server.action import Act, Action
from api.openstack.compute.server.body import new_password
from api.services import Services
from hostler import errors
from hostler.context import RequestContext
from hostler.operations.kinds import server as kinds

_BASE: Final = {"host": schema.HOST, "adminPass": {"type": "string"}}
_FORCE: Final = {**_BASE, "force": schema.BOOLEAN}
_SHARED: Final = {**_BASE, "onSharedStorage": schema.BOOLEAN}


def _body(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


def _evacuate(*, stays_off: bool = False, names_storage: bool = False) -> Act:
    def act(services: Services, context: RequestContext, server_id: str, argument: Any) -> dict[str, Any] | None:
        shared = schema.truth(argument.get("onSharedStorage", False))
        if shared and "adminPass" in argument:
            raise errors.Invalid(reason="admin password can't be changed on existing disk")
        if schema.truth(argument.get("force", False)) and not argument.get("host"):
            raise errors.Invalid(reason="Can't force to a non-provided destination")
        password = argument.get("adminPass") or (None if shared else new_password())
        evacuate.evacuate(services, context, server_id, kinds.Evacuate(
            host=argument.get("host"), stays_off=stays_off, admin_password=password))
        return {"adminPass": password} if names_storage else None
    return act


ACTIONS: Final = {"evacuate": (
    Action(_evacuate(names_storage=True), _body(_SHARED, "onSharedStorage"), until(13), status=200),
    Action(_evacuate(), _body(_BASE), Span((2, 14), (2, 28)), status=200),
    Action(_evacuate(), _body(_FORCE), Span((2, 29), (2, 67)), status=200),
    Action(_evacuate(), _body(_BASE), Span((2, 68), (2, 94)), status=200),
    Action(_evacuate(stays_off=True), _body(_BASE), since(95), status=200))}
