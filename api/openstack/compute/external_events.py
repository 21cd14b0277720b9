"""POST /os-server-external-events."""

from __future__ import annotations

import functools
from typing import Any, Final

import falcon

from api import bodies
from api.core.server import external_events
from api.openstack.compute import params, schema
from api.openstack.compute.microversion import ALWAYS, Version, since
from api.openstack.resource import Resource

_NAMES: Final = (
    *((name, ALWAYS) for name in (external_events.NETWORK_CHANGED, "network-vif-plugged", "network-vif-unplugged",
                                  "network-vif-deleted")),
    ("volume-extended", since(51)), ("power-update", since(76)), ("accelerator-request-bound", since(82)),
    ("volume-reimaged", since(93)))


@functools.cache
def _validator(version: Version) -> bodies.Validator:
    event = {"type": "object", "required": ["server_uuid", "name"], "additionalProperties": False, "properties": {
        "server_uuid": schema.UUID, "name": {"enum": [name for name, span in _NAMES if version in span]},
        "status": {"enum": ["failed", "completed", "in-progress"]}, "tag": {"type": "string", "maxLength": 255}}}
    return bodies.compile_schema({
        "type": "object", "required": ["events"], "additionalProperties": False,
        "properties": {"events": {"type": "array", "minItems": 1, "items": event}}})


class ExternalEvents(Resource):
    """POST /os-server-external-events."""

    def on_post(self, request: falcon.Request, response: falcon.Response) -> None:
        """Take events: 207 when some of them are about no server, or one that is on no host."""
        body = bodies.read_json(request)
        _validator(request.context.version)(body)
        taken = external_events.take(self.services, params.caller(request), [
            external_events.Event(event["name"], event["server_uuid"], event.get("status", "completed"),
                                  event.get("tag")) for event in body["events"]])
        response.media = {"events": [_view(event) for event in taken]}
        response.status = 200 if all(event.code == 200 for event in taken) else 207


def _view(event: external_events.Event) -> dict[str, Any]:
    view = {"name": event.name, "server_uuid": event.server_id, "code": event.code,
            "status": event.status if event.code == 200 else "failed"}
    return view if event.tag is None else {**view, "tag": event.tag}


ROUTES: Final = (("/os-server-external-events", ExternalEvents),)
