"""POST /servers/{id}/action: every published action, with what its argument looks like and what it does.

An action whose argument or meaning depends on the microversion has several rows (`action.Action`), of which the first
that knows the version counts. Verbs with more to say about their arguments have a module of their own, whose `ACTIONS`
are merged here. Actions that this cloud does not have yet are answered with 501, unknown ones with 400.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, Final

import falcon

from api import bodies
from api.core.server import actions as server_actions
from api.core.server import servers, trash
from api.openstack.compute import params, schema
from api.openstack.compute.microversion import Version, since, until
from api.openstack.compute.server import (
    consoles,
    evacuate,
    guest_calls,
    images,
    live_migration,
    rebuild,
    rescue,
    resize,
)
from api.openstack.compute.server import shelve as shelving
from api.openstack.compute.server.action import Act, Action, Rows
from api.openstack.resource import Resource
from api.services import Services
from hostler import errors
from hostler.context import RequestContext
from hostler.operations.kinds import server as kinds
from hostler.operations.kinds.arguments import Arguments
from hostler.operations.kinds.kind import Kind


def _power(kind: Kind[Arguments], policy: str, said_as: str) -> Act:
    def act(services: Services, context: RequestContext, server_id: str, _argument: Any) -> None:
        server_actions.change_power(services, context, server_id, kind, Arguments(),
                                    policy="os_compute_api:" + policy, said_as=said_as)
    return act


def _reboot(services: Services, context: RequestContext, server_id: str, argument: Any) -> None:
    arguments = kinds.Reboot(hard=argument["type"].upper() == "HARD")
    server_actions.change_power(services, context, server_id, kinds.REBOOT, arguments,
                                policy="os_compute_api:servers:reboot", said_as="reboot")


def _lock(services: Services, context: RequestContext, server_id: str, argument: Any) -> None:
    reason = argument.get("locked_reason") if isinstance(argument, dict) else None
    server_actions.lock(services, context, server_id, reason)


def _unlock(services: Services, context: RequestContext, server_id: str, _argument: Any) -> None:
    server_actions.unlock(services, context, server_id)


def _console_output(services: Services, context: RequestContext, server_id: str, argument: Any) -> dict[str, str]:
    length = (argument or {}).get("length")
    lines = None if length is None or int(length) < 0 else int(length)
    return {"output": server_actions.console_output(services, context, server_id, lines)}


def _reset_state(services: Services, context: RequestContext, server_id: str, argument: Any) -> None:
    server_actions.reset_state(services, context, server_id, argument["state"])


def _force_delete(services: Services, context: RequestContext, server_id: str, _argument: Any) -> None:
    servers.delete(services, context, server_id, by_force=True)


def _restore(services: Services, context: RequestContext, server_id: str, _argument: Any) -> None:
    trash.restore(services, context, server_id)


def _add_group(services: Services, context: RequestContext, server_id: str, argument: Any) -> None:
    server_actions.add_security_group(services, context, server_id, argument["name"])


def _remove_group(services: Services, context: RequestContext, server_id: str, argument: Any) -> None:
    server_actions.remove_security_group(services, context, server_id, argument["name"])


_GROUP = {"type": "object", "properties": {"name": schema.NAME}, "required": ["name"], "additionalProperties": False}
_LENGTH = {"type": "object", "additionalProperties": False, "properties": {
    "length": {"type": ["integer", "string", "null"], "pattern": r"^-?\d{1,10}$", "minimum": -1}}}
_REBOOT = {"type": "object", "required": ["type"], "additionalProperties": False, "properties": {
    "type": {"enum": ["HARD", "Hard", "hard", "SOFT", "Soft", "soft"]}}}
_STATE = {"type": "object", "required": ["state"], "additionalProperties": False, "properties": {
    "state": {"enum": ["active", "error"]}}}
_LOCK = {"type": ["object", "null"], "additionalProperties": False, "properties": {
    "locked_reason": {"type": "string", "minLength": 1, "maxLength": 255}}}

ACTIONS: Final[Mapping[str, Rows]] = {
    **evacuate.ACTIONS,
    **live_migration.ACTIONS,
    "os-start": Action(_power(kinds.START, "servers:start", "os-start")),
    "os-stop": Action(_power(kinds.STOP, "servers:stop", "os-stop")),
    "reboot": Action(_reboot, _REBOOT),
    "pause": Action(_power(kinds.PAUSE, "os-pause-server:pause", "pause")),
    "unpause": Action(_power(kinds.UNPAUSE, "os-pause-server:unpause", "unpause")),
    "suspend": Action(_power(kinds.SUSPEND, "os-suspend-server:suspend", "suspend")),
    "resume": Action(_power(kinds.RESUME, "os-suspend-server:resume", "resume")),
    **shelving.ACTIONS,
    "shelveOffload": Action(_power(kinds.SHELVE_OFFLOAD, "os-shelve:shelve_offload", "shelveOffload")),
    # Since 2.73 a lock may say why; before, its argument is not looked at.
    "lock": (Action(_lock, span=until(72)), Action(_lock, _LOCK, since(73))), "unlock": Action(_unlock),
    "os-getConsoleOutput": Action(_console_output, {**_LENGTH, "type": ["object", "null"]}),
    "os-resetState": Action(_reset_state, _STATE),
    "forceDelete": Action(_force_delete), "restore": Action(_restore),
    "addSecurityGroup": Action(_add_group, _GROUP), "removeSecurityGroup": Action(_remove_group, _GROUP),
    **rebuild.ACTIONS,
    **rescue.ACTIONS, "unrescue": Action(_power(kinds.UNRESCUE, "os-unrescue", "unrescue")),
    "createImage": Action(argument=images.CREATE_IMAGE, answer=images.create_image),
    "createBackup": Action(argument=images.CREATE_BACKUP, answer=images.create_backup),
    **consoles.ACTIONS,
    **resize.ACTIONS,
    **guest_calls.ACTIONS,
}


def _row(name: str, version: Version) -> Action:
    rows = ACTIONS.get(name, ())
    for action in rows if isinstance(rows, tuple) else (rows,):
        if version in action.span:
            return action
    raise errors.Invalid(reason=f"There is no such action: {name[:80]}")


@functools.cache
def _validator(name: str, version: Version) -> bodies.Validator:
    return bodies.compile_schema({"type": "object", "additionalProperties": False,
                                  "properties": {name: _row(name, version).argument}})


class ServerAction(Resource):
    """POST /servers/{id}/action."""

    def on_post(self, request: falcon.Request, response: falcon.Response, server_id: str) -> None:
        """Do it, or accept it."""
        body = bodies.read_json(request)
        if not isinstance(body, dict) or len(body) != 1:
            raise errors.Invalid(reason="Malformed request body: exactly one action is expected.")
        ((name, argument),) = body.items()
        action = _row(name, request.context.version)
        _validator(name, request.context.version)(body)
        if action.answer is not None:
            action.answer(self.services, request, response, server_id, argument)
            return
        assert action.act is not None
        answer = action.act(self.services, params.caller(request), server_id, argument)
        response.status = action.status if answer is None else 200
        if answer is not None:
            response.media = answer
