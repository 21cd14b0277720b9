"""The published face of images in the Compute API: /images until 2.35, their metadata until 2.38."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, Final

import falcon

from api import links
from api.core.image import images, properties
from api.core.image.access import TaggedImage
from api.core.image.list import ImageQuery, list_images
from api.openstack.compute import params, schema
from api.openstack.compute.microversion import PROXIES, available, until
from api.openstack.resource import Resource
from hostler import clock, errors, ids
from hostler.images import statuses
from hostler.query import text
from hostler.query.expressions import And, Compare, Expression, Operator

_METADATA: Final = until(38)
_SHOWN: Final = {statuses.ACTIVE: "ACTIVE", statuses.QUEUED: "SAVING", statuses.SAVING: "SAVING",
                 statuses.DELETED: "DELETED", statuses.KILLED: "ERROR"}
_PROGRESS: Final = {statuses.QUEUED: 25, statuses.SAVING: 50, statuses.ACTIVE: 100}
_PROPERTY: Final = "property-"


def image_view(image: Any, base: str, glance: str) -> dict[str, Any]:
    """Return an image with everything."""
    view: dict[str, Any] = {
        **brief_view(image, base, glance), "minRam": image.min_ram_mib, "minDisk": image.min_disk_gib,
        "metadata": image.properties, "created": clock.iso_z(image.created_at),
        "updated": clock.iso_z(image.updated_at), "status": _SHOWN.get(image.status, "UNKNOWN"),
        "progress": _PROGRESS.get(image.status, 0), "OS-EXT-IMG-SIZE:size": image.size_bytes or 0}
    server_id = ids.canonical(str(image.properties.get("instance_uuid", "")))
    if server_id is not None:
        view["server"] = {"id": server_id, "links": _links(base, f"servers/{server_id}")}
    if "auto_disk_config" in image.properties:
        view["OS-DCF:diskConfig"] = "AUTO" if schema.truth(image.properties["auto_disk_config"]) else "MANUAL"
    return view


def brief_view(image: Any, base: str, glance: str) -> dict[str, Any]:
    """Return an image as lists show it; `glance` is the URL of the Image API."""
    path = f"images/{image.id}"
    alternate = {"rel": "alternate", "type": "application/vnd.openstack.image", "href": f"{glance}/{path}"}
    return {"id": image.id, "name": image.name, "links": [*_links(base, path), alternate]}


def _links(base: str, path: str) -> list[dict[str, str]]:
    return [{"rel": "self", "href": f"{base}{params.ROOT}/{path}"}, {"rel": "bookmark", "href": f"{base}/{path}"}]


@contextlib.contextmanager
def _published_words(image_id: str) -> Iterator[None]:
    """Say of an image that is not found what this API says."""
    try:
        yield
    except errors.NotFound as error:
        raise errors.NotFound("Image not found.", resource="Image", id=image_id) from error


class ImageResource(Resource):
    """A resource that shows images."""

    def find(self, request: falcon.Request, image_id: str) -> TaggedImage:
        """Return the image that a path names; raises NotFound."""
        with _published_words(image_id):
            return images.show_image(self.services, params.caller(request), image_id)

    def bases(self, request: falcon.Request) -> tuple[str, str]:
        """Return the URLs of this API and of the Image API."""
        return params.base_of(self.conf, request), f"{links.base_url(self.conf, request)}/image/v2"


class ImagesDetail(ImageResource):
    """GET /images/detail."""

    path = "/images/detail"
    view = staticmethod(image_view)

    @available(PROXIES)
    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List."""
        query = params.page_of(request, self.conf, default=(("created_at", True), ("id", True)), where=_where(request))
        page = list_images(self.services, params.caller(request), ImageQuery(page=query))
        body: dict[str, Any] = {"images": [self.view(row.image, *self.bases(request)) for row in page.rows]}
        if page.full:
            body["images_links"] = params.page_links(request, self.conf, self.path, page.rows[-1].image.id)
        response.media = body


class Images(ImagesDetail):
    """GET /images."""

    path = "/images"
    view = staticmethod(brief_view)


class ImageItem(ImageResource):
    """GET and DELETE /images/{id}."""

    @available(PROXIES)
    def on_get(self, request: falcon.Request, response: falcon.Response, image_id: str) -> None:
        """Show."""
        response.media = {"image": image_view(self.find(request, image_id).image, *self.bases(request))}

    @available(PROXIES)
    def on_delete(self, request: falcon.Request, response: falcon.Response, image_id: str) -> None:
        """Delete."""
        with _published_words(image_id):
            images.delete_image(self.services, params.caller(request), image_id)
        response.status = 204


class Metadata(ImageResource):
    """GET, POST and PUT /images/{id}/metadata."""

    @available(_METADATA)
    def on_get(self, request: falcon.Request, response: falcon.Response, image_id: str) -> None:
        """List."""
        response.media = {"metadata": self.find(request, image_id).image.properties}

    @available(_METADATA)
    def on_post(self, request: falcon.Request, response: falcon.Response, image_id: str) -> None:
        """Add or change items."""
        response.media = {"metadata": self._put(request, image_id, replace=False)}

    @available(_METADATA)
    def on_put(self, request: falcon.Request, response: falcon.Response, image_id: str) -> None:
        """Replace all."""
        response.media = {"metadata": self._put(request, image_id, replace=True)}

    def _put(self, request: falcon.Request, image_id: str, *, replace: bool) -> dict[str, Any]:
        items = schema.read_simple(request, "metadata", "metadata")
        with _published_words(image_id):
            return properties.put(self.services, params.caller(request), image_id, items, replace=replace)


class MetadataItem(ImageResource):
    """GET, PUT and DELETE /images/{id}/metadata/{key}."""

    @available(_METADATA)
    def on_get(self, request: falcon.Request, response: falcon.Response, image_id: str, key: str) -> None:
        """Show."""
        items = self.find(request, image_id).image.properties
        if key not in items:
            raise errors.NotFound("The resource could not be found.", resource="metadata", id=key)
        response.media = {"meta": {key: items[key]}}

    @available(_METADATA)
    def on_put(self, request: falcon.Request, response: falcon.Response, image_id: str, key: str) -> None:
        """Set."""
        item: dict[str, Any] = schema.read_simple(request, "meta", "metadata")
        if list(item) != [key]:
            raise errors.Invalid(reason="Request body and URI mismatch")
        with _published_words(image_id):
            properties.put(self.services, params.caller(request), image_id, item)
        response.media = {"meta": item}

    @available(_METADATA)
    def on_delete(self, request: falcon.Request, response: falcon.Response, image_id: str, key: str) -> None:
        """Delete."""
        self.find(request, image_id)
        properties.remove(self.services, params.caller(request), image_id, key)
        response.status = 204


def _where(request: falcon.Request) -> Expression:
    """Return the condition that the query's filters make; others are passed over."""
    parts: list[Expression] = []
    for name, value in request.params.items():
        values = value if isinstance(value, list) else [value]
        if name in _FILTERS:
            parts.append(_FILTERS[name](name, values))
        elif name.startswith(_PROPERTY):
            parts.append(_property(name.removeprefix(_PROPERTY))(name, values))
    return And(tuple(parts))


def _property(key: str) -> text.Filter:
    return lambda _name, values: Compare("properties", Operator.HAS, (key, values[-1]))


def _server(name: str, values: Sequence[str]) -> Expression:
    """The server that an image was made of, by id or URL."""
    return _property("instance_uuid")(name, [values[-1].rpartition("/")[2]])


def _status(_name: str, values: Sequence[str]) -> Expression:
    return Compare("status", Operator.IN, [status for status in statuses.STATUSES
                                           if _SHOWN.get(status, "UNKNOWN") == values[-1].upper()])


_FILTERS: Final[dict[str, text.Filter]] = {
    "name": text.last("name"), "status": _status, "changes-since": text.since("updated_at"), "server": _server,
    "type": _property("image_type"), "minRam": text.last("min_ram_mib"), "minDisk": text.last("min_disk_gib")}

ROUTES: Final = (
    ("/images", Images), ("/images/detail", ImagesDetail), ("/images/{image_id}", ImageItem),
    ("/images/{image_id}/metadata", Metadata), ("/images/{image_id}/metadata/{key}", MetadataItem))
