"""The published face of transfers, under both of its paths: /os-volume-transfer and (since 3.55) /volume-transfers."""

from __future__ import annotations

from typing import Any, Final

import falcon

from api.core.volume import transfers as volume_transfers
from api.microversions import ALWAYS, Version
from api.openstack.resource import Resource
from api.openstack.volume import params, queries, schema
from api.openstack.volume.microversion import available, since
from api.openstack.volume.queries import Listed
from api.openstack.volume.schema import Body, Property
from hostler import clock, ids
from hostler.db.models import VolumeTransfer
from hostler.query import text

_WITH_SNAPSHOTS: Final = since(55)
_WITH_HISTORY: Final = since(57)
_NEW: Final = "/volume-transfers"
_OLD: Final = "/os-volume-transfer"
LISTED: Final = Listed(
    everywhere="volume:get_all_transfers:all_projects", open=True,
    filters={"name": text.last("name"), "display_name": text.last("name"), "volume_id": text.last("volume_id")},
    sortable={"display_name": "name", **{name: name for name in ("id", "name", "volume_id", "created_at",
                                                                 "updated_at")}})
_CREATE: Final = Body("transfer", (
    Property("volume_id", schema.UUID, required=ALWAYS), Property("name", schema.NAME_OR_NULL),
    Property("no_snapshots", schema.BOOLEAN, _WITH_SNAPSHOTS)))
_ACCEPT: Final = Body("accept", (
    Property("auth_key", {"type": ["string", "integer"], "maxLength": 255}, required=ALWAYS),))


def brief_view(row: Any, base: str, path: str) -> dict[str, Any]:
    """Return an offer as lists show it."""
    return {"id": row.id, "name": row.name, "volume_id": row.volume_id,
            "links": queries.links_of(base, f"{path}/{row.id}")}


def full_view(row: VolumeTransfer, base: str, path: str, version: Version) -> dict[str, Any]:
    """Return an offer as the version shows it."""
    shown = {**brief_view(row, base, path), "created_at": clock.iso_micro(row.created_at)}
    if version in _WITH_SNAPSHOTS:
        shown["no_snapshots"] = not row.with_snapshots
    if version in _WITH_HISTORY:
        shown.update(source_project_id=ids.bare(row.project_id), destination_project_id=None, accepted=False)
    return shown


class TransfersDetail(Resource):
    """GET /os-volume-transfer/detail."""

    root = _OLD
    below = "/detail"

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List."""
        query = queries.query_of(request, self.services, LISTED)
        page = volume_transfers.list_transfers(self.services, params.caller(request), query)
        base, version = params.base_of(self.conf, request), request.context.version
        response.media = queries.body_of(request, self.services, page, member="transfers", path=self.root + self.below,
                                       view=lambda row: self._view(row, base, version))

    def _view(self, row: VolumeTransfer, base: str, version: Version) -> dict[str, Any]:
        return full_view(row, base, self.root, version)


class Transfers(TransfersDetail):
    """GET and POST /os-volume-transfer."""

    below = ""

    def _view(self, row: VolumeTransfer, base: str, _version: Version) -> dict[str, Any]:
        return brief_view(row, base, self.root)

    def on_post(self, request: falcon.Request, response: falcon.Response) -> None:
        """Offer; only this answer has the key."""
        body = _CREATE.read(request)
        row, key = volume_transfers.create(
            self.services, params.caller(request), body["volume_id"], name=schema.trimmed(body.get("name")),
            with_snapshots=not schema.truth(body.get("no_snapshots")))
        base = params.base_of(self.conf, request)
        response.status = 202
        response.media = {"transfer": {**full_view(row, base, self.root, request.context.version), "auth_key": key}}


class TransferItem(Resource):
    """GET and DELETE /os-volume-transfer/{id}."""

    root = _OLD

    def on_get(self, request: falcon.Request, response: falcon.Response, transfer_id: str) -> None:
        """Show."""
        row = volume_transfers.show(self.services, params.caller(request), transfer_id)
        response.media = {"transfer": full_view(row, params.base_of(self.conf, request), self.root,
                                                request.context.version)}

    def on_delete(self, request: falcon.Request, response: falcon.Response, transfer_id: str) -> None:
        """Withdraw."""
        volume_transfers.delete(self.services, params.caller(request), transfer_id)
        response.status = 202


class TransferAccept(Resource):
    """POST /os-volume-transfer/{id}/accept."""

    root = _OLD

    def on_post(self, request: falcon.Request, response: falcon.Response, transfer_id: str) -> None:
        """Take the volume."""
        body = _ACCEPT.read(request)
        taken = volume_transfers.accept(self.services, params.caller(request), transfer_id, str(body["auth_key"]))
        response.status = 202
        response.media = {"transfer": brief_view(taken, params.base_of(self.conf, request), self.root)}


class NewTransfersDetail(TransfersDetail):
    """GET /volume-transfers/detail."""

    root = _NEW
    on_get = available(_WITH_SNAPSHOTS)(TransfersDetail.on_get)


class NewTransfers(Transfers):
    """GET and POST /volume-transfers."""

    root = _NEW
    on_get = available(_WITH_SNAPSHOTS)(TransfersDetail.on_get)
    on_post = available(_WITH_SNAPSHOTS)(Transfers.on_post)


class NewTransferItem(TransferItem):
    """GET and DELETE /volume-transfers/{id}."""

    root = _NEW
    on_get = available(_WITH_SNAPSHOTS)(TransferItem.on_get)
    on_delete = available(_WITH_SNAPSHOTS)(TransferItem.on_delete)


class NewTransferAccept(TransferAccept):
    """POST /volume-transfers/{id}/accept."""

    root = _NEW
    on_post = available(_WITH_SNAPSHOTS)(TransferAccept.on_post)


ROUTES = ((_OLD, Transfers), (f"{_OLD}/detail", TransfersDetail), (f"{_OLD}/{{transfer_id}}", TransferItem),
          (f"{_OLD}/{{transfer_id}}/accept", TransferAccept), (_NEW, NewTransfers),
          (f"{_NEW}/detail", NewTransfersDetail), (f"{_NEW}/{{transfer_id}}", NewTransferItem),
          (f"{_NEW}/{{transfer_id}}/accept", NewTransferAccept))
