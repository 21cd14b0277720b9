"""The published face of floating IPs and their pools, the external networks, in the Compute API until 2.35."""

from __future__ import annotations

from typing import Any, Final

import falcon

from api import bodies
from api.core.network import floating_ips, networks
from api.core.network.floating_ips import Described
from api.core.network.scope import Caller
from api.openstack.compute import params
from api.openstack.compute.microversion import PROXIES, available
from api.openstack.resource import Resource
from hostler import errors, ids
from hostler.db.models import Network
from hostler.query.expressions import Compare, Operator
from hostler.query.paging import Query

_POLICY: Final = "os_compute_api:os-floating-ips:"
_OLDEST_FIRST: Final = (("created_at", False),)
_CREATE: Final = bodies.compile_schema({
    "type": ["object", "null"], "properties": {"pool": {"type": ["string", "null"]}}})


def floating_ip_view(found: Described) -> dict[str, Any]:
    """Return a floating IP; `instance_id` is whatever has the port that it leads to."""
    row, device_id = found.row, None if found.port is None else found.port.device_id
    return {"id": row.id, "ip": row.address, "fixed_ip": row.fixed_ip_address, "instance_id": device_id or None,
            "pool": found.network_name or row.network_id}


class _FloatingIpResource(Resource):
    def caller(self, request: falcon.Request, action: str) -> Caller:
        """Return who asks; raises Forbidden unless the policy allows `action`."""
        context = params.caller(request)
        self.services.policy.check(context, _POLICY + action)
        return Caller.of(self.services, context)


class FloatingIps(_FloatingIpResource):
    """GET and POST /os-floating-ips."""

    @available(PROXIES)
    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List the project's."""
        caller = self.caller(request, "list")
        page = floating_ips.VERBS.list_page(caller, Query(
            where=Compare("project_id", Operator.EQ, caller.project_id), sort=_OLDEST_FIRST))
        response.media = {"floating_ips": [floating_ip_view(row) for row in page.rows]}

    @available(PROXIES)
    def on_post(self, request: falcon.Request, response: falcon.Response) -> None:
        """Take an address of a pool; without a name, of the oldest."""
        caller = self.caller(request, "create")
        body = bodies.read_json(request) if request.content_length else None
        _CREATE(body)
        name = (body or {}).get("pool")
        network = _pool(caller, name)
        there = f"in pool {name}" if name else "available"
        try:
            [made] = floating_ips.VERBS.create(caller, [{"network_id": network.id}])
        except (errors.NoAddress, errors.Invalid) as error:  # Invalid: the network has no subnet to take one from
            raise errors.NotFound(f"No more floating IPs {there}.", resource="floating_ip", id="") from error
        except errors.Conflict as error:
            raise errors.Forbidden(f"IP allocation over quota{f' {there}' if name else ''}.") from error
        response.media = {"floating_ip": floating_ip_view(made)}


class FloatingIpItem(_FloatingIpResource):
    """GET and DELETE /os-floating-ips/{id}."""

    @available(PROXIES)
    def on_get(self, request: falcon.Request, response: falcon.Response, floating_ip_id: str) -> None:
        """Show."""
        found = self._find(self.caller(request, "show"), floating_ip_id)
        response.media = {"floating_ip": floating_ip_view(found)}

    @available(PROXIES)
    def on_delete(self, request: falcon.Request, response: falcon.Response, floating_ip_id: str) -> None:
        """Give the address back."""
        caller = self.caller(request, "delete")
        floating_ips.VERBS.delete(caller, self._find(caller, floating_ip_id).row.id)
        response.status = 202

    @staticmethod
    def _find(caller: Caller, identifier: str) -> Described:
        if ids.canonical(identifier) is None:
            raise errors.Invalid(reason=f"Invalid ID received {identifier[:80]}.")
        try:
            return floating_ips.VERBS.show(caller, identifier)
        except errors.NotFound as error:
            raise errors.NotFound(f"Floating IP not found for ID {identifier}", resource="floating_ip",
                                  id=identifier) from error


class Pools(Resource):
    """GET /os-floating-ip-pools."""

    @available(PROXIES)
    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List."""
        context = params.caller(request)
        self.services.policy.check(context, "os_compute_api:os-floating-ip-pools")
        response.media = {"floating_ip_pools": [{"name": pool.name or pool.id} for pool in _pools(
            Caller.of(self.services, context))]}


def _pools(caller: Caller) -> list[Network]:
    page = networks.VERBS.list_page(caller, Query(where=Compare("external", Operator.EQ, True), sort=_OLDEST_FIRST))
    return [record.row for record in page.rows]


def _pool(caller: Caller, name: str | None) -> Network:
    """Return the pool with an id or a name, without either the first; raises NotFound."""
    pools = _pools(caller)
    found = [pool for pool in pools if pool.id == ids.canonical(name)] or [
        pool for pool in pools if pool.name == name] if name else pools[:1]
    if not found:
        raise errors.NotFound("Floating IP pool not found.", resource="floating_ip_pool", id=name or "")
    if len(found) > 1:
        raise errors.Invalid(reason=f"Multiple floating IP pools matches found for name '{name}'")
    return found[0]


ROUTES: Final = (("/os-floating-ips", FloatingIps), ("/os-floating-ips/{floating_ip_id}", FloatingIpItem),
                 ("/os-floating-ip-pools", Pools))
