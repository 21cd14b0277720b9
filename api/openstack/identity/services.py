"""The catalog as administrators see it: `/v3/services`, `endpoints`, `regions`. It follows from the configuration and
the faces this cloud has, so it can be read but not changed."""

from __future__ import annotations

from typing import Any

import falcon

from api import links
from api.core.identity.rows import not_found
from api.openstack.identity import parameters
from api.openstack.identity.rendering import collection, root
from api.openstack.resource import Resource
from hostler import errors
from hostler.identity import catalog

Body = dict[str, Any]


class _ReadOnly(Resource):
    key = ""
    noun = ""
    action = ""
    filters: tuple[str, ...] = ()

    def items(self, request: falcon.Request) -> list[Body]:
        """Return all there is."""
        raise NotImplementedError

    def on_get(self, request: falcon.Request, response: falcon.Response, item_id: str | None = None) -> None:
        """List, or show one."""
        self.services.policy.check(request.context.caller, self.action, {})
        found = self.items(request)
        if item_id is not None:
            item = next((item for item in found if item["id"] == item_id.replace("-", "") or item["id"] == item_id),
                        None)
            if item is None:
                raise not_found(self.noun, item_id)
            response.media = {self.noun: item}
            return
        for name in self.filters:
            value = parameters.text(request, name)
            if value is not None:
                found = [item for item in found if item[name] == value.removesuffix("URL")]
        response.media = collection(self.conf, request, self.key, found)

    def on_post(self, _request: falcon.Request, _response: falcon.Response, **_ids: str) -> None:
        """Refuse: the catalog is not stored."""
        raise errors.NotImplementedHere(feature="Changing the catalog, which follows from the configuration,")

    on_patch = on_delete = on_put = on_post


class CatalogServices(_ReadOnly):
    """The services."""

    key, noun, action, filters = "services", "service", "identity:list_services", ("name", "type")

    def items(self, request: falcon.Request) -> list[Body]:
        """Return them."""
        where = root(self.conf, request)
        return [{"id": service.id, "name": service.name, "type": service.type, "enabled": True,
                 "description": service.description, "links": {"self": f"{where}/services/{service.id}"}}
                for service in catalog.SERVICES]


class Endpoints(_ReadOnly):
    """The endpoints."""

    key, noun, action = "endpoints", "endpoint", "identity:list_endpoints"
    filters = ("interface", "service_id", "region_id")

    def items(self, request: falcon.Request) -> list[Body]:
        """Return them."""
        conf = self.conf
        base, where = links.base_url(conf, request), root(conf, request)
        return [{**endpoint, "service_id": service.id, "enabled": True,
                 "links": {"self": f"{where}/endpoints/{endpoint['id']}"}}
                for service in catalog.SERVICES
                for endpoint in catalog.endpoints(service, base, conf.identity.region)]


class Regions(_ReadOnly):
    """The one region."""

    key, noun, action, filters = "regions", "region", "identity:list_regions", ("parent_region_id",)

    def items(self, request: falcon.Request) -> list[Body]:
        """Return it."""
        name = self.conf.identity.region
        return [{"id": name, "description": "", "parent_region_id": None,
                 "links": {"self": f"{root(self.conf, request)}/regions/{name}"}}]
