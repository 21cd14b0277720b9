"""The published face of key pairs."""

from __future__ import annotations

from typing import Any

import falcon

from api import names
from api.core.catalog import keypairs
from api.openstack.compute import params
from api.openstack.compute.microversion import ALWAYS, Version, since, until
from api.openstack.compute.schema import Body, Property
from api.openstack.resource import Resource
from hostler import clock, ids
from hostler.db.models import KeyPair

_NAME = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[a-zA-Z0-9 _-]+$"}
_NAME_92 = {**_NAME, "pattern": rf"^{names.SAFE}[a-zA-Z0-9 _\-@.]+$"}
_KEY = {"type": "string", "maxLength": 16383}  # what a text column of each database holds, in four-byte characters
_USER = {"type": "string", "minLength": 1, "maxLength": 255}
_BEFORE_92 = tuple(
    Property(name, text, until(91), required) for name, text, required in (
        ("name", {**_NAME, "pattern": rf"^{names.SAFE}[\w \-@.:+=()\[\]]+$"}, ALWAYS),
        ("public_key", _KEY, None)))
_CREATE = Body("keypair", (
    *_BEFORE_92,
    Property("name", _NAME_92, since(92), since(92)),
    Property("public_key", _KEY, since(92), since(92)),
    Property("type", {"enum": ["ssh", "x509"]}, since(2)),
    Property("user_id", _USER, since(10)),
))
_TYPED = since(2)
_PAGED = since(35)
_LIST = {"user_id": since(10), "limit": _PAGED, "marker": _PAGED}
_ONE = {"user_id": since(10)}


def _user(found: dict[str, list[str]], request: falcon.Request) -> str:
    text = params.one(found, "user_id")
    return params.project_of(text) if text else str(params.caller(request).user_id)


def brief_view(row: KeyPair, version: Version) -> dict[str, Any]:
    """Return a key pair as lists show it."""
    view = {"name": row.name, "public_key": row.public_key, "fingerprint": row.fingerprint}
    return {**view, "type": row.type} if version in _TYPED else view


class KeyPairs(Resource):
    """GET and POST /os-keypairs."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List the user's key pairs."""
        found = params.read(request, _LIST)
        paged = request.context.version in _PAGED
        query = params.page_of(request, self.conf, paged=paged)
        page = keypairs.list_keypairs(self.services, params.caller(request), _user(found, request), query)
        body: dict[str, Any] = {
            "keypairs": [{"keypair": brief_view(row, request.context.version)} for row in page.rows]}
        if page.full and paged:
            body["keypairs_links"] = params.page_links(request, self.conf, "/os-keypairs", page.rows[-1].name)
        response.media = body

    def on_post(self, request: falcon.Request, response: falcon.Response) -> None:
        """Import a public key, or make a pair (before 2.92)."""
        body = _CREATE.read(request)
        context = params.caller(request)
        user_id = params.project_of(body["user_id"]) if "user_id" in body else str(context.user_id)
        made = keypairs.create(self.services, context, user_id=user_id, name=body["name"],
                               kind=body.get("type", "ssh"), public_key=body.get("public_key"))
        view = {**brief_view(made.row, request.context.version), "user_id": ids.bare(made.row.user_id)}
        if made.private_key is not None:
            view["private_key"] = made.private_key
        response.status = 201 if request.context.version in _TYPED else 200
        response.media = {"keypair": view}


class KeyPairItem(Resource):
    """GET and DELETE /os-keypairs/{name}."""

    def on_get(self, request: falcon.Request, response: falcon.Response, keypair_name: str) -> None:
        """Show."""
        user_id = _user(params.read(request, _ONE), request)
        row = keypairs.show(self.services, params.caller(request), user_id, keypair_name)
        response.media = {"keypair": {
            **brief_view(row, request.context.version), "user_id": ids.bare(row.user_id), "id": row.number,
            "created_at": clock.iso_micro(row.created_at), "updated_at": None, "deleted": False, "deleted_at": None}}

    def on_delete(self, request: falcon.Request, response: falcon.Response, keypair_name: str) -> None:
        """Delete."""
        user_id = _user(params.read(request, _ONE), request)
        keypairs.delete(self.services, params.caller(request), user_id, keypair_name)
        response.status = 204 if request.context.version in _TYPED else 202
