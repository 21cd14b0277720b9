"""The published face of networks in the Compute API: read until 2.35; changes answer 410, as the reference does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import falcon

from api.core.network import networks
from api.core.network.scope import Caller
from api.openstack.compute import params
from api.openstack.compute.microversion import PROXIES, available
from api.openstack.resource import Resource
from hostler import errors
from hostler.db.models import Network
from hostler.query.paging import Query

# What networks had in former times; all of it is shown as null, the second part to administrators only.
_FORMER: Final = ("cidr", "netmask", "gateway", "broadcast", "dns1", "dns2", "cidr_v6", "gateway_v6", "netmask_v6")
_INNER: Final = (
    "created_at", "updated_at", "deleted_at", "deleted", "injected", "bridge", "vlan", "vpn_public_address",
    "vpn_public_port", "vpn_private_address", "dhcp_start", "project_id", "host", "bridge_interface", "multi_host",
    "priority", "rxtx_base", "mtu", "dhcp_server", "enable_dhcp", "share_address")
_OLDEST_FIRST: Final = Query(sort=(("created_at", False),))
View = Callable[[Network, Caller], dict[str, Any]]


def network_view(row: Network, caller: Caller) -> dict[str, Any]:
    """Return a network."""
    return {**dict.fromkeys(_FORMER + (_INNER if caller.sees_all else ())), "id": row.id, "label": row.name}


def tenant_view(row: Network, _caller: Caller) -> dict[str, Any]:
    """Return a network as /os-tenant-networks shows it: the text None has always been its block of addresses."""
    return {"id": row.id, "cidr": "None", "label": row.name}


def _gone(request: falcon.Request) -> None:
    """Raise Gone, for anybody who may ask at all."""
    params.caller(request)
    raise errors.Gone(reason="Networks are managed through the Network API.")


class _NetworkResource(Resource):
    policy = "os_compute_api:os-networks:"
    view: View = staticmethod(network_view)

    def caller(self, request: falcon.Request, action: str) -> Caller:
        """Return who asks; raises Forbidden unless the policy allows `action`."""
        context = params.caller(request)
        self.services.policy.check(context, self.policy + action)
        return Caller.of(self.services, context)


class Networks(_NetworkResource):
    """GET and POST /os-networks."""

    @available(PROXIES)
    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List all that the caller sees."""
        caller = self.caller(request, "list")
        response.media = {"networks": [self.view(record.row, caller) for record in networks.VERBS.list_page(
            caller, _OLDEST_FIRST).rows]}

    def on_post(self, request: falcon.Request, _response: falcon.Response) -> None:
        """Refuse."""
        _gone(request)


class NetworkItem(_NetworkResource):
    """GET and DELETE of one network."""

    @available(PROXIES)
    def on_get(self, request: falcon.Request, response: falcon.Response, network_id: str) -> None:
        """Show."""
        caller = self.caller(request, "show")
        try:
            response.media = {"network": self.view(networks.VERBS.show(caller, network_id).row, caller)}
        except errors.NotFound as error:
            raise errors.NotFound("Network not found", resource="network", id=network_id) from error

    def on_delete(self, request: falcon.Request, _response: falcon.Response, network_id: str) -> None:
        """Refuse."""
        _gone(request)


class TenantNetworks(Networks):
    """GET and POST /os-tenant-networks."""

    policy = "os_compute_api:os-tenant-networks:"
    view = staticmethod(tenant_view)


class TenantNetworkItem(NetworkItem):
    """GET and DELETE /os-tenant-networks/{id}."""

    policy = "os_compute_api:os-tenant-networks:"
    view = staticmethod(tenant_view)


class _Changes(Resource):
    def on_get(self, _request: falcon.Request, _response: falcon.Response, **_path: str) -> None:
        """Say that there is nothing to read."""
        raise errors.NotFound("The resource could not be found.")


class NetworkAddition(_Changes):
    """POST /os-networks/add."""

    def on_post(self, request: falcon.Request, _response: falcon.Response) -> None:
        """Refuse."""
        _gone(request)


class NetworkAction(_Changes):
    """POST /os-networks/{id}/action: disassociate, associate_host, disassociate_host, disassociate_project."""

    def on_post(self, request: falcon.Request, _response: falcon.Response, network_id: str) -> None:
        """Refuse."""
        _gone(request)


ROUTES: Final = (
    ("/os-networks", Networks), ("/os-networks/add", NetworkAddition), ("/os-networks/{network_id}", NetworkItem),
    ("/os-networks/{network_id}/action", NetworkAction), ("/os-tenant-networks", TenantNetworks),
    ("/os-tenant-networks/{network_id}", TenantNetworkItem))
