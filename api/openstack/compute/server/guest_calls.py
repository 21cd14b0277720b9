"""Published actions that ask a running guest, or its host, for something: password, dump, networks, addresses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from api.core.server import interfaces, passwords
from api.core.server import networks as server_network
from api.core.server.actions import change_power
from api.openstack.compute import schema
from api.openstack.compute.microversion import since, until
from api.openstack.compute.server.action import Act, Action
from api.services import Services
from hostler.context import RequestContext
from hostler.operations.kinds import server as kinds
from hostler.operations.kinds.arguments import Arguments
from hostler.operations.kinds.kind import Kind

_TO_43: Final = until(43)
_PASSWORD = {"type": "object", "required": ["adminPass"], "additionalProperties": False, "properties": {
    "adminPass": {"type": "string"}}}
_NETWORK = {"type": "object", "required": ["networkId"], "additionalProperties": False, "properties": {
    "networkId": {"type": ["string", "number"], "minLength": 1, "maxLength": 255}}}
_ADDRESS = {"type": "object", "required": ["address"], "additionalProperties": False, "properties": {
    "address": schema.ADDRESS}}
_FLOATING = {**_ADDRESS, "properties": {"address": schema.ADDRESS, "fixed_address": schema.ADDRESS}}


def _change_password(services: Services, context: RequestContext, server_id: str, argument: Any) -> None:
    passwords.change(services, context, server_id, argument["adminPass"])


def _crash_dump(services: Services, context: RequestContext, server_id: str, _argument: Any) -> None:
    change_power(services, context, server_id, kinds.CRASH_DUMP, Arguments(),
                 policy="os_compute_api:servers:trigger_crash_dump", said_as="trigger_crash_dump")


def _reset_network(kind: Kind[Arguments], policy: str) -> Act:
    def act(services: Services, context: RequestContext, server_id: str, _argument: Any) -> None:
        server_network.reset(services, context, server_id, kind, "os_compute_api:os-admin-actions:" + policy)
    return act


def _add_fixed_ip(services: Services, context: RequestContext, server_id: str, argument: Any) -> None:
    interfaces.add_fixed_ip(services, context, server_id, str(argument["networkId"]))


def _remove_fixed_ip(services: Services, context: RequestContext, server_id: str, argument: Any) -> None:
    interfaces.remove_fixed_ip(services, context, server_id, argument["address"])


def _add_floating_ip(services: Services, context: RequestContext, server_id: str, argument: Any) -> None:
    server_network.add_floating_ip(services, context, server_id, argument["address"], argument.get("fixed_address"))


def _remove_floating_ip(services: Services, context: RequestContext, server_id: str, argument: Any) -> None:
    server_network.remove_floating_ip(services, context, server_id, argument["address"])


ACTIONS: Final[Mapping[str, Action]] = {
    "changePassword": Action(_change_password, _PASSWORD),
    "trigger_crash_dump": Action(_crash_dump, {"type": "null"}, since(17)),
    "resetNetwork": Action(_reset_network(kinds.RESET_NETWORK, "reset_network")),
    "injectNetworkInfo": Action(_reset_network(kinds.INJECT_NETWORK_INFO, "inject_network_info")),
    "addFixedIp": Action(_add_fixed_ip, _NETWORK, _TO_43),
    "removeFixedIp": Action(_remove_fixed_ip, _ADDRESS, _TO_43),
    "addFloatingIp": Action(_add_floating_ip, _FLOATING, _TO_43),
    "removeFloatingIp": Action(_remove_floating_ip, _ADDRESS, _TO_43),
}
