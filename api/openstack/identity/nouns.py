"""The resources of nouns that are listed, created, shown, changed and deleted alike: `/v3/{plural}` and one of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import falcon
from oslo_config import cfg

from api.bodies import Validator
from api.openstack import resource
from api.openstack.identity import parameters, schemas
from api.openstack.identity.rendering import collection, root
from api.services import Services
from hostler.context import RequestContext
from hostler.query.paging import Page, Query


@dataclasses.dataclass(frozen=True, kw_only=True)
class Noun:
    """How a noun is named in bodies, shown, asked for and checked, and the verbs of `api.core.identity` that do it."""

    name: str
    view: Callable[[Any, str], dict[str, Any]]
    listing: Callable[[falcon.Request, cfg.ConfigOpts], Query]
    creation: Validator
    change: Validator
    list_page: Callable[[Services, RequestContext, Query], Page]
    get: Callable[[Services, RequestContext, str], Any]
    create: Callable[[Services, RequestContext, dict[str, Any]], Any]
    update: Callable[[Services, RequestContext, str, dict[str, Any]], Any]
    delete: Callable[[Services, RequestContext, str], None]


class Resource(resource.Resource):
    """A resource of one noun."""

    def __init__(self, services: Services, noun: Noun) -> None:
        super().__init__(services)
        self.noun = noun

    def show(self, request: falcon.Request, row: Any) -> dict[str, Any]:
        """Return the body that shows a row."""
        return {self.noun.name: self.noun.view(row, root(self.conf, request))}

    def show_page(self, request: falcon.Request, page: Page) -> dict[str, Any]:
        """Return the body that shows a page."""
        where = root(self.conf, request)
        return collection(self.conf, request, f"{self.noun.name}s", page, lambda row: self.noun.view(row, where))


class Collection(Resource):
    """All of them."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List."""
        query = self.noun.listing(request, self.conf)
        response.media = self.show_page(request, self.noun.list_page(self.services, request.context.caller, query))

    def on_post(self, request: falcon.Request, response: falcon.Response) -> None:
        """Create one."""
        body = parameters.body(request, self.conf, self.noun.creation)
        row = self.noun.create(self.services, request.context.caller, schemas.attributes(body, self.noun.name))
        response.status = 201
        response.media = self.show(request, row)


class Item(Resource):
    """One of them."""

    def on_get(self, request: falcon.Request, response: falcon.Response, **place: str) -> None:
        """Show it."""
        response.media = self.show(request, self.noun.get(self.services, request.context.caller, *place.values()))

    def on_patch(self, request: falcon.Request, response: falcon.Response, **place: str) -> None:
        """Change it."""
        [row_id] = place.values()
        body = parameters.body(request, self.conf, self.noun.change)
        response.media = self.show(request, self.noun.update(
            self.services, request.context.caller, row_id, schemas.attributes(body, self.noun.name, row_id)))

    def on_delete(self, request: falcon.Request, response: falcon.Response, **place: str) -> None:
        """Delete it."""
        self.noun.delete(self.services, request.context.caller, *place.values())
        response.status = 204
