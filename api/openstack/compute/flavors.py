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
from hostler import errors
from hostler.db.models import Flavor

_LIST = dict.fromkeys((*params.PAGE, "sort_key", "sort_dir", "is_public", "minRam", "minDisk"), ALWAYS)
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
        page = params.page_of(request, self.conf, sortable=flavors.SORT_COLUMNS, default=[("flavorid", False)],
                              tie="flavorid")
        query = flavors.FlavorQuery(page=page, is_public=_publicity(params.one(found, "is_public")),
                                    min_ram_mib=params.number(found, "minRam"),
                                    min_root_gib=params.number(found, "minDisk"))
        rows = flavors.list_flavors(self.services, params.caller(request), query)
        base = params.base_of(self.conf, request)
        shown = rows[:page.limit]
        body: dict[str, Any] = {"flavors": [self.view(row, base, request.context.version) for row in shown]}
        if len(rows) > page.limit and shown:
            body["flavors_links"] = params.page_links(request, base, self.path, shown[-1].flavorid)
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
    if text.lower() in ("t", "true", "on", "y", "yes", "1"):
        return True
    if text.lower() in ("f", "false", "off", "n", "no", "0"):
        return False
    raise errors.Invalid(reason=f"Invalid is_public filter [{text[:80]}]")


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
