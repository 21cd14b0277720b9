"""The falcon resources of every noun: the collection, an item, its tags."""

from __future__ import annotations

import re
from collections.abc import Callable

import falcon

from api.bodies import read_json
from api.core.network import tags as network_tags
from api.core.network.scope import Caller
from api.openstack import resource
from api.openstack.network import queries
from api.openstack.network.nouns import BodyReader, Noun
from api.services import Services
from hostler import errors

_ENTITY_TAGS = re.compile(r'"([^"]*)"|([^\s,"]+)')
_REVISION = "revision_number="
_NUMBER = re.compile(r"[0-9]{1,18}")


class Resource(resource.Resource):
    """A resource of this face; it also knows who asks."""

    def caller(self, request: falcon.Request) -> Caller:
        """Return who asks, and which revision the request wants to meet."""
        return Caller.of(self.services, request.context.caller, _revision(request))

    def body(self, request: falcon.Request) -> object:
        """Return the request's JSON."""
        return read_json(request, self.conf.api.max_body_bytes)


def _revision(request: falcon.Request) -> int | None:
    """Return N of `If-Match: revision_number=N`; other entity tags are ignored, as this API issues none."""
    given = request.get_header("If-Match") or ""
    tags = [quoted or bare for quoted, bare in _ENTITY_TAGS.findall(given)]
    wanted = [tag.removeprefix(_REVISION) for tag in tags if tag.startswith(_REVISION)]
    if not wanted:
        return None
    if len(wanted) > 1:
        raise errors.Invalid(reason="Multiple revision_number etags are not supported.")
    if not _NUMBER.fullmatch(wanted[0]):
        raise errors.Invalid(reason="Revision number etag must be in the format of revision_number=<int>")
    return int(wanted[0])


class Collection(Resource):
    """`/v2.0/{plural}`."""

    def __init__(self, services: Services, noun: Noun, reader: BodyReader) -> None:
        super().__init__(services)
        self._noun, self._reader = noun, reader

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List a page."""
        caller, fields = self.caller(request), queries.fields_of(request)
        query = queries.read_query(request, self.services.conf.api.max_limit, self._noun.filters, self._noun.sortable)
        page = self._noun.list_page(caller, query)
        shown = [self._noun.view(item, caller) for item in page.rows]
        media: dict[str, object] = {self._noun.plural: [queries.only(item, fields) for item in shown]}
        links = queries.page_links(self.services, request, self._noun.path, query, page, [item["id"] for item in shown])
        if links:
            media[f"{self._noun.plural}_links"] = links
        response.media = media

    def on_post(self, request: falcon.Request, response: falcon.Response) -> None:
        """Create one, or each of a list."""
        caller = self.caller(request)
        values, many = self._reader.read_new(self.body(request), self.conf.network.max_bulk_items)
        shown = [self._noun.view(item, caller) for item in self._noun.create(caller, values)]
        response.status = 201
        response.media = {self._noun.plural: shown} if many else {self._noun.singular: shown[0]}


class Item(Resource):
    """`/v2.0/{plural}/{id}`."""

    def __init__(self, services: Services, noun: Noun, reader: BodyReader) -> None:
        super().__init__(services)
        self._noun, self._reader = noun, reader

    def on_get(self, request: falcon.Request, response: falcon.Response, id: str) -> None:
        """Show it."""
        caller = self.caller(request)
        shown = self._noun.view(self._noun.show(caller, id), caller)
        response.media = {self._noun.singular: queries.only(shown, queries.fields_of(request))}

    def on_put(self, request: falcon.Request, response: falcon.Response, id: str) -> None:
        """Change it."""
        caller = self.caller(request)
        if self._noun.update is None:
            raise errors.Invalid(reason=f"A {self._noun.singular} cannot be changed.")
        item = self._noun.update(caller, id, self._reader.read_change(self.body(request)))
        response.media = {self._noun.singular: self._noun.view(item, caller)}

    def on_delete(self, request: falcon.Request, response: falcon.Response, id: str) -> None:
        """Delete it."""
        self._noun.delete(self.caller(request), id)
        response.status = 204


class Inner(Resource):
    """`/v2.0/{plural}/{id}/{inner plural}`: resources that belong to one; `noun_of(id)` is their noun."""

    def __init__(self, services: Services, noun_of: Callable[[str], Noun], reader: BodyReader) -> None:
        super().__init__(services)
        self._noun_of, self._reader = noun_of, reader

    def _collection(self, id: str) -> Collection:
        return Collection(self.services, self._noun_of(id), self._reader)

    def on_get(self, request: falcon.Request, response: falcon.Response, id: str) -> None:
        """List a page."""
        self._collection(id).on_get(request, response)

    def on_post(self, request: falcon.Request, response: falcon.Response, id: str) -> None:
        """Create one, or each of a list."""
        self._collection(id).on_post(request, response)


class InnerItem(Resource):
    """`/v2.0/{plural}/{id}/{inner plural}/{inner_id}`."""

    def __init__(self, services: Services, noun_of: Callable[[str], Noun], reader: BodyReader) -> None:
        super().__init__(services)
        self._noun_of, self._reader = noun_of, reader

    def _item(self, id: str) -> Item:
        return Item(self.services, self._noun_of(id), self._reader)

    def on_get(self, request: falcon.Request, response: falcon.Response, id: str, inner_id: str) -> None:
        """Show it."""
        self._item(id).on_get(request, response, inner_id)

    def on_put(self, request: falcon.Request, response: falcon.Response, id: str, inner_id: str) -> None:
        """Change it."""
        self._item(id).on_put(request, response, inner_id)

    def on_delete(self, request: falcon.Request, response: falcon.Response, id: str, inner_id: str) -> None:
        """Delete it."""
        self._item(id).on_delete(request, response, inner_id)


class Tags(Resource):
    """`/v2.0/{plural}/{id}/tags`."""

    def __init__(self, services: Services, noun: Noun) -> None:
        super().__init__(services)
        self._noun = noun

    def on_get(self, request: falcon.Request, response: falcon.Response, id: str) -> None:
        """List them."""
        response.media = {"tags": network_tags.show_tags(self.caller(request), self._noun.tagged, id)}

    def on_put(self, request: falcon.Request, response: falcon.Response, id: str) -> None:
        """Replace them all."""
        body = self.body(request)
        tags = body.get("tags") if isinstance(body, dict) and len(body) == 1 else None
        if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
            raise errors.Invalid(reason="Invalid tags body: 'tags' must be a list of strings.")
        response.media = {"tags": network_tags.set_tags(self.caller(request), self._noun.tagged, id, tags)}

    def on_delete(self, request: falcon.Request, response: falcon.Response, id: str) -> None:
        """Remove them all."""
        network_tags.set_tags(self.caller(request), self._noun.tagged, id, [])
        response.status = 204


class Tag(Resource):
    """`/v2.0/{plural}/{id}/tags/{tag}`."""

    def __init__(self, services: Services, noun: Noun) -> None:
        super().__init__(services)
        self._noun = noun

    def on_get(self, request: falcon.Request, response: falcon.Response, id: str, tag: str) -> None:
        """Say whether it is there: 204 or 404."""
        if tag not in network_tags.show_tags(self.caller(request), self._noun.tagged, id):
            raise network_tags.tag_not_found(tag)
        response.status = 204

    def on_put(self, request: falcon.Request, response: falcon.Response, id: str, tag: str) -> None:
        """Add it."""
        network_tags.add_tag(self.caller(request), self._noun.tagged, id, tag)
        response.status = 201

    def on_delete(self, request: falcon.Request, response: falcon.Response, id: str, tag: str) -> None:
        """Remove it."""
        network_tags.remove_tag(self.caller(request), self._noun.tagged, id, tag)
        response.status = 204
