"""POST /servers/{id}/remote-consoles, the actions it replaced, and GET /os-console-auth-tokens/{token}."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, Final

import falcon

from api import bodies
from api.core.server import consoles
from api.openstack.compute import params
from api.openstack.compute.microversion import Version, available, since, until
from api.openstack.compute.server.action import Action
from api.openstack.resource import Resource
from api.services import Services
from hostler import errors
from hostler.context import RequestContext

_REMOTE = since(6)
_MKS = since(8)
_ALL_TOKENS = since(31)
_PROTOCOLS: Final = {"vnc": ("novnc", "xvpvnc"), "spice": ("spice-html5",), "serial": ("serial",),
                     "rdp": ("rdp-html5",), "mks": ("webmks",)}


def _act(services: Services, context: RequestContext, server_id: str, argument: Any) -> dict[str, Any]:
    """Open a console by an action."""
    console_type = argument["type"]
    return {"console": {"type": console_type,
                        "url": consoles.create(services, context, server_id, console_type)}}


def _action(*types: str) -> Action:
    return Action(_act, {"type": "object", "properties": {"type": {"enum": types}}, "required": ["type"],
                         "additionalProperties": False}, until(5))


# Types of the reference that no guest here has are refused by name.
ACTIONS: Final[Mapping[str, Action]] = {
    "os-getVNCConsole": _action("novnc", "xvpvnc"), "os-getSPICEConsole": _action("spice-html5"),
    "os-getSerialConsole": _action("serial"), "os-getRDPConsole": _action("rdp-html5")}


@functools.cache
def _validator(version: Version) -> bodies.Validator:
    protocols = [name for name in _PROTOCOLS if name != "mks" or version in _MKS]
    console = {"type": "object", "required": ["protocol", "type"], "additionalProperties": False, "properties": {
        "protocol": {"enum": protocols},
        "type": {"enum": [name for protocol in protocols for name in _PROTOCOLS[protocol]]}}}
    return bodies.compile_schema({"type": "object", "required": ["remote_console"], "additionalProperties": False,
                                  "properties": {"remote_console": console}})


class RemoteConsoles(Resource):
    """POST /servers/{id}/remote-consoles, from 2.6 on."""

    @available(_REMOTE)
    def on_post(self, request: falcon.Request, response: falcon.Response, server_id: str) -> None:
        """Open a console."""
        body = bodies.read_json(request)
        _validator(request.context.version)(body)
        asked = body["remote_console"]
        if asked["type"] not in _PROTOCOLS[asked["protocol"]]:
            raise errors.ConsoleUnavailable(type=asked["type"])
        url = consoles.create(self.services, params.caller(request), server_id, asked["type"])
        response.media = {"remote_console": {**asked, "url": url}}


class ConsoleToken(Resource):
    """GET /os-console-auth-tokens/{token}."""

    def on_get(self, request: falcon.Request, response: falcon.Response, console_token: str) -> None:
        """Show where its console is."""
        target = consoles.show(self.services, params.caller(request), console_token)
        if request.context.version not in _ALL_TOKENS:
            # Before, only RDP consoles were shown.
            raise errors.Unauthorized("The requested console type details are not accessible")
        response.media = {"console": {"instance_uuid": target.server_id, "host": target.address, "port": target.port,
                                      "internal_access_path": target.access_path}}


ROUTES: Final = (("/servers/{server_id}/remote-consoles", RemoteConsoles),
                 ("/os-console-auth-tokens/{console_token}", ConsoleToken))
