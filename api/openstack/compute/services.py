"""The published face of services: list, enable, disable, force down, delete."""

from __future__ import annotations

from typing import Any

import falcon

from api import bodies
from api.core.fleet import services as core
from api.core.fleet.services import Change, ServiceShown
from api.openstack.compute import params, schema
from api.openstack.compute.microversion import ALWAYS, Version, since, until
from api.openstack.resource import Resource
from hostler import clock, errors, ids

_FORCED_DOWN = since(11)
_UUIDS = since(53)
_NUMBERED = until(52)
_LIST = dict.fromkeys(("host", "binary"), ALWAYS)
_REASON = {"type": "string", "minLength": 1, "maxLength": 255}
_OLD = {"host": {**schema.HOST}, "binary": {"type": "string", "minLength": 1, "maxLength": 255},
        "disabled_reason": _REASON}


def _old_body(properties: dict[str, Any]) -> bodies.Validator:
    return bodies.compile_schema({"type": "object", "properties": properties, "required": ["host", "binary"],
                                  "additionalProperties": False})


_CHECK_OLD = _old_body(_OLD)
_CHECK_OLD_FORCED = _old_body({**_OLD, "forced_down": schema.BOOLEAN})
_CHECK_NEW = bodies.compile_schema({
    "type": "object", "additionalProperties": False,
    "properties": {"status": {"enum": ["enabled", "disabled"]}, "disabled_reason": _REASON,
                   "forced_down": schema.BOOLEAN}})


def view(service: ServiceShown, version: Version) -> dict[str, Any]:
    """Return a service as the version shows it."""
    shown: dict[str, Any] = {
        "id": service.id if version in _UUIDS else service.number, "binary": service.binary, "host": service.host,
        "zone": service.zone, "status": "enabled" if service.enabled else "disabled",
        "state": "up" if service.up else "down", "updated_at": clock.iso_micro(service.seen_at),
        "disabled_reason": service.disabled_reason}
    return {**shown, "forced_down": service.forced_down} if version in _FORCED_DOWN else shown


class ServiceList(Resource):
    """GET /os-services."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List."""
        found = params.read(request, _LIST)
        rows = core.list_services(self.services, params.caller(request), host=params.one(found, "host"),
                                  binary=params.one(found, "binary"))
        response.media = {"services": [view(row, request.context.version) for row in rows]}


class ServiceItem(Resource):
    """PUT and DELETE /os-services/{id}; before 2.53 the "id" of a PUT names the action."""

    def on_put(self, request: falcon.Request, response: falcon.Response, service_id: str) -> None:
        """Change."""
        if request.context.version in _UUIDS:
            response.media = {"service": self._change(request, service_id)}
        else:
            response.media = {"service": self._act(request, service_id)}

    def on_delete(self, request: falcon.Request, response: falcon.Response, service_id: str) -> None:
        """Delete."""
        context = params.caller(request)
        if request.context.version in _NUMBERED:
            core.delete_service(self.services, context, params.integer_id(service_id))
        else:
            core.delete_service(self.services, context, _uuid(service_id))
        response.status = 204

    def _change(self, request: falcon.Request, service_id: str) -> dict[str, Any]:
        context, identity = params.caller(request), _uuid(service_id)
        body = bodies.read_json(request)
        _CHECK_NEW(body)
        status, forced = body.get("status"), body.get("forced_down")
        if status is None and forced is None:
            raise errors.Invalid(reason="No updates were requested. Fields 'status' or 'forced_down' should be "
                                        "specified.")
        if "disabled_reason" in body and status != "disabled":
            raise errors.Invalid(reason="Specifying 'disabled_reason' requires that status is 'disabled'.")
        change = Change(None if status is None else status == "enabled", body.get("disabled_reason"),
                        None if forced is None else schema.truth(forced))
        return view(core.change_by_id(self.services, context, identity, change), request.context.version)

    def _act(self, request: falcon.Request, action: str) -> dict[str, Any]:
        context, body = params.caller(request), bodies.read_json(request)
        with_force = request.context.version in _FORCED_DOWN
        (_CHECK_OLD_FORCED if with_force else _CHECK_OLD)(body)
        change = _change_of(action, body, with_force)
        done = core.change_on_host(self.services, context, body["host"], body["binary"], change)
        answer: dict[str, Any] = {"host": done.host, "binary": done.binary}
        if change.forced_down is not None:
            return {**answer, "forced_down": done.forced_down}
        answer["status"] = "enabled" if change.enabled else "disabled"
        return {**answer, "disabled_reason": change.disabled_reason} if action == "disable-log-reason" else answer


def _change_of(action: str, body: dict[str, Any], with_force: bool) -> Change:
    if action == "enable":
        return Change(enabled=True)
    if action == "disable":
        return Change(enabled=False)
    if action == "disable-log-reason":
        if "disabled_reason" not in body:
            raise errors.Invalid(reason="Missing disabled reason field")
        return Change(enabled=False, disabled_reason=body["disabled_reason"])
    if action == "force-down" and with_force:
        if "forced_down" not in body:
            raise errors.Invalid(reason="Missing forced_down field")
        return Change(forced_down=schema.truth(body["forced_down"]))
    raise errors.NotFound("Unknown action", resource="action", id=action)


def _uuid(text: str) -> str:
    known = ids.canonical(text)
    if known is None:
        raise errors.Invalid(reason=f"Invalid uuid {text[:80]}")
    return known


ROUTES = (("/os-services", ServiceList), ("/os-services/{service_id}", ServiceItem))
