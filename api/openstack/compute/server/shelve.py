"""The actions `shelve` and `unshelve`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from api.core.server import shelve as server_shelve
from api.core.server.shelve import Destination
from api.openstack.compute import schema
from api.openstack.compute.microversion import Span, since, until
from api.openstack.compute.server.action import Action, Rows
from api.services import Services
from hostler.context import RequestContext

_IN_A_ZONE: Final = {"type": ["object", "null"], "required": ["availability_zone"], "additionalProperties": False,
                     "properties": {"availability_zone": schema.NAME}}
_ANYWHERE: Final = {"type": ["object", "null"], "additionalProperties": False, "properties": {
    "availability_zone": {"type": ["string", "null"], "maxLength": 255},
    "host": {"type": "string", "minLength": 1, "maxLength": 255}}}


def _shelve(services: Services, context: RequestContext, server_id: str, _argument: Any) -> None:
    server_shelve.shelve(services, context, server_id)


def _unshelve(services: Services, context: RequestContext, server_id: str, _argument: Any) -> None:
    server_shelve.unshelve(services, context, server_id, Destination())


def _unshelve_to(services: Services, context: RequestContext, server_id: str, argument: Any) -> None:
    asked = argument or {}
    server_shelve.unshelve(services, context, server_id, Destination(
        zone=asked.get("availability_zone"), names_zone="availability_zone" in asked, host=asked.get("host")))


ACTIONS: Final[Mapping[str, Rows]] = {
    "shelve": Action(_shelve),
    "unshelve": (Action(_unshelve, span=until(76)), Action(_unshelve_to, _IN_A_ZONE, Span((2, 77), (2, 90))),
                 Action(_unshelve_to, _ANYWHERE, since(91)))}
