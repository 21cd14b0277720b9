"""The action `os-migrateLive` as each microversion spells it, and what may be asked of a live migration under way.

Until 2.24 the caller says whether disks are copied and whether the target's disk may be promised twice (which the claim
decides here); 2.25 knows `auto`. 2.30 to 2.67 know `force`, which in the reference skips the scheduler; here every
target is claimed, and `force` keeps to it against zone and hints. Since 2.34 what the target refuses fails the
migration instead of the request, which is so in all versions here: nobody waits for hosts in a request.
"""

from __future__ import annotations

from typing import Any, Final

import falcon

from api import bodies
from api.core.server import live_migration
from api.openstack.compute import params, schema
from api.openstack.compute.microversion import Span, available, since, until
from api.openstack.compute.server.action import Action
from api.openstack.resource import Resource
from api.services import Services
from hostler import errors
from hostler.context import RequestContext
from hostler.operations.kinds import server as kinds

_AUTO: Final = {"enum": [*schema.BOOLEAN["enum"], "auto"]} if "enum" in schema.BOOLEAN else schema.BOOLEAN
_HOST: Final = {"anyOf": [schema.HOST, {"type": "null"}]}
_FIRST: Final = {"host": _HOST, "block_migration": schema.BOOLEAN, "disk_over_commit": schema.BOOLEAN}
_AUTOMATIC: Final = {"host": _HOST, "block_migration": _AUTO}
_FORCED: Final = {**_AUTOMATIC, "force": schema.BOOLEAN}
_FORCE_COMPLETE: Final = bodies.compile_schema({
    "type": "object", "properties": {"force_complete": {"type": "null"}}, "required": ["force_complete"],
    "additionalProperties": False})


def _migrate(services: Services, context: RequestContext, server_id: str, argument: Any) -> None:
    forced, copied = schema.truth(argument.get("force", False)), argument["block_migration"]
    if forced and argument["host"] is None:
        raise errors.Invalid(reason="Can't force to a non-provided destination")
    live_migration.migrate(services, context, server_id, kinds.LiveMigrate(
        host=argument["host"], block_migration=None if copied == "auto" else schema.truth(copied), force=forced))


def _body(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "additionalProperties": False,
            "required": [name for name in properties if name != "force"]}


ACTIONS: Final = {"os-migrateLive": (
    Action(_migrate, _body(_FIRST), until(24)), Action(_migrate, _body(_AUTOMATIC), Span((2, 25), (2, 29))),
    Action(_migrate, _body(_FORCED), Span((2, 30), (2, 67))), Action(_migrate, _body(_AUTOMATIC), since(68)))}


class ServerMigrationAction(Resource):
    """POST /servers/{id}/migrations/{number}/action."""

    @available(since(22))
    def on_post(self, request: falcon.Request, response: falcon.Response, server_id: str, migration_id: str) -> None:
        """Have the migration end soon."""
        _FORCE_COMPLETE(bodies.read_json(request))
        live_migration.force_complete(self.services, params.caller(request), server_id,
                                      params.integer_id(migration_id))
        response.status = 202
