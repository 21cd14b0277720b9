"""The published face of a server's NICs: /servers/{id}/os-interface."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import falcon

from api.core.server import interfaces, servers
from api.core.server import rows as server_rows
from api.openstack.compute import params, schema
from api.openstack.compute.microversion import since
from api.openstack.compute.schema import Body, Property
from api.openstack.resource import Resource
from hostler import errors, ids
from hostler.db.models import FixedIp, Port
from hostler.resources.network.ports import NetworkRequest

_POLICY = "os_compute_api:os-attach-interfaces:"
_TAGGED = since(70)
_FIXED_IP = {"type": "object", "required": ["ip_address"], "additionalProperties": False,
             "properties": {"ip_address": schema.ADDRESS}}
_CREATE = Body("interfaceAttachment", (
    Property("net_id", schema.UUID), Property("port_id", schema.UUID),
    Property("fixed_ips", {"type": "array", "minItems": 1, "maxItems": 1, "items": _FIXED_IP}),
    Property("tag", schema.TAG, since(49))))


def interface_view(port: Port, addresses: Sequence[FixedIp], *, tagged: bool) -> dict[str, Any]:
    """Return a NIC."""
    view: dict[str, Any] = {
        "port_id": port.id, "net_id": port.network_id, "mac_addr": port.mac_address, "port_state": port.shown_status,
        "fixed_ips": [{"subnet_id": address.subnet_id, "ip_address": address.ip_address} for address in addresses]}
    return {**view, "tag": port.device_tag} if tagged else view


class Interfaces(Resource):
    """GET and POST /servers/{id}/os-interface."""

    def on_get(self, request: falcon.Request, response: falcon.Response, server_id: str) -> None:
        """List."""
        row = servers.authorised(self.services, params.caller(request), server_id, _POLICY + "list")
        tagged = request.context.version in _TAGGED
        response.media = {"interfaceAttachments": [
            interface_view(port, addresses, tagged=tagged)
            for port, addresses in server_rows.ports_of(self.services, row.id)]}

    def on_post(self, request: falcon.Request, response: falcon.Response, server_id: str) -> None:
        """Attach; the answer comes when it is done, or has taken too long to wait for."""
        body = _CREATE.read(request)
        wanted = NetworkRequest(
            network_id=ids.canonical(body.get("net_id") or ""), port_id=ids.canonical(body.get("port_id") or ""),
            fixed_ip=body["fixed_ips"][0]["ip_address"] if body.get("fixed_ips") else None, tag=body.get("tag"))
        if wanted.network_id and wanted.port_id:
            raise errors.Invalid(reason="Must not input both network_id and port_id")
        if wanted.fixed_ip and not wanted.network_id:
            raise errors.Invalid(reason="Must input network_id when request IP address")
        port, addresses = interfaces.attach(self.services, params.caller(request), server_id, wanted)
        response.media = {"interfaceAttachment": interface_view(port, addresses,
                                                                tagged=request.context.version in _TAGGED)}


class InterfaceItem(Resource):
    """GET and DELETE /servers/{id}/os-interface/{port}."""

    def on_get(self, request: falcon.Request, response: falcon.Response, server_id: str, port_id: str) -> None:
        """Show."""
        row = servers.authorised(self.services, params.caller(request), server_id, _POLICY + "show")
        for port, addresses in server_rows.ports_of(self.services, row.id):
            if port.id == ids.canonical(port_id):
                response.media = {"interfaceAttachment": interface_view(port, addresses,
                                                                        tagged=request.context.version in _TAGGED)}
                return
        raise errors.NotFound(f"Instance {row.id} does not have fixed IPs on port {port_id}.", resource="port",
                              id=port_id)

    def on_delete(self, request: falcon.Request, response: falcon.Response, server_id: str, port_id: str) -> None:
        """Detach."""
        interfaces.detach(self.services, params.caller(request), server_id, port_id)
        response.status = 202
