"""`/v2.0/segments`: what each network is made of, read-only. A network has one segment, which goes by its id."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import falcon

from api.core.network import networks
from api.core.network.networks import NetworkRecord
from api.openstack.network import filters, queries
from api.openstack.network.resources import Resource
from hostler import clock, errors
from hostler.query import text
from hostler.query.paging import Page

_PATH: Final = "segments"
_FILTERS: Final[Mapping[str, text.Filter]] = {
    "id": text.equal("id"), "network_id": text.equal("id"), "name": filters.constant(""),
    "description": filters.constant(""), "network_type": text.equal("network_type"),
    "physical_network": text.equal("physical_network"), "segmentation_id": text.equal("segmentation_id"),
    "revision_number": text.equal("revision"), "changed_since": text.since("updated_at")}
_SORTABLE: Final = {"id": "id", "network_id": "id", "network_type": "network_type",
                    "physical_network": "physical_network", "segmentation_id": "segmentation_id"}


def view(record: NetworkRecord) -> dict[str, Any]:
    """Show a network's segment."""
    row = record.row
    return {"id": row.id, "network_id": row.id, "name": "", "description": "", "network_type": row.network_type,
            "physical_network": row.physical_network, "segmentation_id": row.segmentation_id,
            "created_at": clock.iso_z(row.created_at), "updated_at": clock.iso_z(row.updated_at),
            "revision_number": row.revision}


def _refuse(*_request: Any, **_ids: str) -> None:
    raise errors.NotImplementedHere(feature="Changing the segments of a network")


class Segments(Resource):
    """`/v2.0/segments`."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List a page."""
        caller = self.caller(request)
        query = queries.read_query(request, self.services.conf.api.max_limit, _FILTERS, _SORTABLE)
        page = networks.VERBS.list_page(caller, query) if caller.allows("get_segment") else Page((), full=False)
        shown = [view(record) for record in page.rows]
        media: dict[str, Any] = {"segments": [queries.only(item, queries.fields_of(request)) for item in shown]}
        links = queries.page_links(self.services, request, _PATH, query, page, [item["id"] for item in shown])
        response.media = {**media, **({"segments_links": links} if links else {})}

    on_post = _refuse


class Segment(Resource):
    """`/v2.0/segments/{id}`."""

    def on_get(self, request: falcon.Request, response: falcon.Response, id: str) -> None:
        """Show it."""
        caller = self.caller(request)
        if not caller.allows("get_segment"):
            raise errors.NotFound(f"Segment {id} could not be found.", resource="segment", id=id)
        shown = view(networks.VERBS.show(caller, id))
        response.media = {"segment": queries.only(shown, queries.fields_of(request))}

    on_put = on_delete = _refuse
