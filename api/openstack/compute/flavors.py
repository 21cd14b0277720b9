"""The published face of flavors: list, detail, create, show, update, delete."""

from __future__ import annotations

from typing import Any

import falcon

from api import names
from api.core.catalog import flavors
from api.openstack.compute import params, schema
from api.openstack.compute.microversion import ALWAYS, Version, available, since
from api.openstack.compute.schema import Body, Property
from api.openstack.resource import Resource
from hostler.db.models import Flavor
from hostler.query import fields as query_fields
from hostler.query.expressions import And, Compare, Operator

_LIST = dict.fromkeys((*params.PAGE, "sort_key", "sort_dir", "is_public", "minRam", "minDisk"), ALWAYS)
SORTABLE = {"id": "flavorid", "root_gb": "root_gib", "ephemeral_gb": "ephemeral_gib", "memory_mb": "ram_mib",
             "swap": "swap_mib", **{name: name for name in (
                 "flavorid", "name", "created_at", "updated_at", "description", "disabled", "is_public", "rxtx_factor",
                 "vcpus")}}
_ID = {"oneOf": [{"type": "null"}, {"type": "integer"},
                 {"type": "string", "minLength": 1, "maxLength": 255,
                  "pattern": rf"^{names.SAFE}(?! )[a-zA-Z0-9. _-]+(?<! )$"}]}
_DESCRIPTION = {"type": ["string", "null"], "maxLength": 65535, "pattern": r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$"}
_CREATE = Body("flavor", (
    Property("name", schema.NAME, required=ALWAYS),
    Property("id", _ID),
    Property("ram", schema.whole_number(1), required=ALWAYS),
    Property("vcpus", schema.whole_number(1), required=ALWAYS),
    Property("disk", schema.whole_number(), required=ALWAYS),
    Property("OS-FLV-EXT-DATA:ephemeral", schema.whole_number()),
    Property("swap", schema.whole_number()),
    Property("rxtx_factor", {"type": ["number", "string"], "pattern": r"^[0-9]+(\.[0-9]+)?$",
                             "exclusiveMinimum": 0, "maximum": 3.40282e+38}),
    Property("os-flavor-access:is_public", schema.BOOLEAN),
    Property("description", _DESCRIPTION, since(55)),
))
_UPDATE = Body("flavor", (Property("description", _DESCRIPTION, required=ALWAYS),))
_DESCRIBED = since(55)
_WITH_SPECS = since(61)
_SWAP_AS_NUMBER = since(75)


def links_of(base: str, flavorid: str) -> list[dict[str, str]]:
    """Return a flavor's links."""
    return [{"rel": "self", "href": f"{base}{params.ROOT}/flavors/{flavorid}"},
            {"rel": "bookmark", "href": f"{base}/flavors/{flavorid}"}]


def brief_view(flavor: Flavor, base: str, version: Version) -> dict[str, Any]:
    """Return a flavor as lists show it."""
    view = {"id": flavor.flavorid, "name": flavor.name, "links": links_of(base, flavor.flavorid)}
    return {**view, "description": flavor.description} if version in _DESCRIBED else view


def full_view(flavor: Flavor, base: str, version: Version) -> dict[str, Any]:
    """Return a flavor with its sizes."""
    view = brief_view(flavor, base, version)
    view.update({
        "ram": flavor.ram_mib, "disk": flavor.root_gib, "vcpus": flavor.vcpus,
        "swap": flavor.swap_mib if flavor.swap_mib or version in _SWAP_AS_NUMBER else "",
        "OS-FLV-EXT-DATA:ephemeral": flavor.ephemeral_gib, "OS-FLV-DISABLED:disabled": flavor.disabled,
        "os-flavor-access:is_public": flavor.is_public, "rxtx_factor": flavor.rxtx_factor})
    if version in _WITH_SPECS:
        view["extra_specs"] = flavor.extra_specs
    return view


class FlavorsDetail(Resource):
    """GET /flavors/detail."""

    path = "/flavors/detail"
    view = staticmethod(full_view)

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List."""
        found = params.read(request, _LIST)
        sizes = [Compare(field, Operator.GE, query_fields.whole(name, found[name][-1]))
                 for name, field in (("minRam", "ram_mib"), ("minDisk", "root_gib")) if name in found]
        query = params.page_of(request, self.conf, sortable=SORTABLE, default=[("flavorid", False)],
                               where=And(tuple(sizes)))
        page = flavors.list_flavors(self.services, params.caller(request), query,
                                    is_public=_publicity(params.one(found, "is_public")))
        base = params.base_of(self.conf, request)
        body: dict[str, Any] = {"flavors": [self.view(row, base, request.context.version) for row in page.rows]}
        if page.full:
            body["flavors_links"] = params.page_links(request, self.conf, self.path, page.rows[-1].flavorid)
        response.media = body


class Flavors(FlavorsDetail):
    """GET and POST /flavors."""

    path = "/flavors"
    view = staticmethod(brief_view)

    def on_post(self, request: falcon.Request, response: falcon.Response) -> None:
        """Create."""
        body = _CREATE.read(request)
        flavorid = body.get("id")
        values = {
            "name": body["name"], "flavorid": None if flavorid in (None, "auto") else str(flavorid),
            "ram_mib": schema.number_in(body, "ram", 0, 1), "vcpus": schema.number_in(body, "vcpus", 0, 1),
            "root_gib": schema.number_in(body, "disk", 0), "swap_mib": schema.number_in(body, "swap", 0),
            "ephemeral_gib": schema.number_in(body, "OS-FLV-EXT-DATA:ephemeral", 0),
            "rxtx_factor": float(body.get("rxtx_factor", 1.0)), "description": body.get("description"),
            "is_public": schema.truth(body.get("os-flavor-access:is_public", True))}
        flavor = flavors.create(self.services, params.caller(request), values)
        response.media = {"flavor": full_view(flavor, params.base_of(self.conf, request), request.context.version)}


def _publicity(text: str | None) -> bool | None:
    if text is None:
        return True
    if text.lower() == "none":
        return None
    return query_fields.truth("is_public", text)


class FlavorItem(Resource):
    """GET, PUT, DELETE /flavors/{id}."""

    def on_get(self, request: falcon.Request, response: falcon.Response, flavor_id: str) -> None:
        """Show."""
        flavor = flavors.show(self.services, params.caller(request), flavor_id)
        response.media = {"flavor": full_view(flavor, params.base_of(self.conf, request), request.context.version)}

    @available(since(55))
    def on_put(self, request: falcon.Request, response: falcon.Response, flavor_id: str) -> None:
        """Change the description."""
        body = _UPDATE.read(request)
        flavor = flavors.change(self.services, params.caller(request), "os_compute_api:os-flavor-manage:update",
                                flavor_id, description=body["description"])
        response.media = {"flavor": full_view(flavor, params.base_of(self.conf, request), request.context.version)}

    def on_delete(self, request: falcon.Request, response: falcon.Response, flavor_id: str) -> None:
        """Delete."""
        flavors.delete(self.services, params.caller(request), flavor_id)
        response.status = 202
