"""Images' data: upload, download, stage and import; content for agents under signed paths."""

from __future__ import annotations

from collections.abc import Callable

import falcon

from api.bodies import read_json
from api.core.image import data as verbs
from api.core.image.from_agents import receive_from_agent
from api.openstack.image.schemas import validate_import
from api.openstack.image.transfer import RequestBody, send_content
from api.openstack.resource import Resource
from api.services import Services
from hostler import errors
from hostler.images.signing import UrlSigner


class File(Resource):
    """/v2/images/{image_id}/file"""

    def on_put(self, request: falcon.Request, response: falcon.Response, image_id: str) -> None:
        """Upload the data of a queued image."""
        _take(request, lambda body: verbs.upload(self.services, request.context.caller, image_id, body))
        response.status = 204

    def on_get(self, request: falcon.Request, response: falcon.Response, image_id: str) -> None:
        """Download the data; 204 when there is none."""
        image = verbs.open_data(self.services, request.context.caller, image_id)
        if image.sha256 is None or not image.size_bytes:
            response.status = 204
            return
        send_content(request, response, self.services.images, image.sha256, image.size_bytes)
        if image.md5 is not None and request.range is None:
            response.set_header("Content-MD5", image.md5)


class Stage(Resource):
    """/v2/images/{image_id}/stage"""

    def on_put(self, request: falcon.Request, response: falcon.Response, image_id: str) -> None:
        """Stage data for an import."""
        _take(request, lambda body: verbs.stage(self.services, request.context.caller, image_id, body))
        response.status = 204


class Import(Resource):
    """/v2/images/{image_id}/import"""

    def on_post(self, request: falcon.Request, response: falcon.Response, image_id: str) -> None:
        """Import what was staged. The answer comes when it is done: the request is the worker."""
        body = read_json(request, self.conf.api.max_body_bytes)
        validate_import(body)
        method = body["method"]["name"]
        if method not in verbs.IMPORT_METHODS:
            raise errors.InvalidField(field="method.name", value=method,
                                      reason=f"Supported: {', '.join(verbs.IMPORT_METHODS)}.")
        unknown = set(body.get("stores", ())) - {verbs.STORE_ID}
        if unknown:
            raise errors.Conflict(reason=f"There is no store {', '.join(sorted(unknown))}.")
        verbs.import_staged(self.services, request.context.caller, image_id)
        response.status = 202


class ImportInfo:
    """/v2/info/import"""

    def on_get(self, _request: falcon.Request, response: falcon.Response) -> None:
        """Tell the import methods."""
        response.media = {"import-methods": {"description": "Import methods available.", "type": "array",
                                             "value": list(verbs.IMPORT_METHODS)}}


class StoresInfo:
    """/v2/info/stores"""

    def on_get(self, _request: falcon.Request, response: falcon.Response) -> None:
        """Tell the stores; there is one."""
        response.media = {"stores": [{"id": verbs.STORE_ID, "description": "Files named by their content",
                                      "default": "true"}]}


class Blob(Resource):
    """/blobs/{sha256}: content by its digest, for agents, who show a signature instead of a token."""

    public = True

    def on_get(self, request: falcon.Request, response: falcon.Response, sha256: str) -> None:
        """Send the content when the signature is ours."""
        expires_at = request.get_param("expires") or ""
        if not expires_at.isdecimal() or len(expires_at) > 15:
            raise errors.Forbidden("The signature is not valid.")
        self.services.images.verify(sha256, int(expires_at), request.get_param("signature") or "")
        if not self.services.images.has(sha256):
            raise errors.NotFound(resource="Content", id=sha256)
        size_bytes = self.services.images.path_of(sha256).stat().st_size
        send_content(request, response, self.services.images, sha256, size_bytes)


class AgentUpload(Resource):
    """/v2/uploads/{image_id}: content of a volume or a server's disk, from an agent that shows a signature."""

    public = True

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._signer = UrlSigner(services.conf)

    def on_put(self, request: falcon.Request, response: falcon.Response, image_id: str) -> None:
        """Take the data of an image that waits for it; once it has it, sending it again changes nothing."""
        expires_at = request.get_param("expires") or ""
        if not expires_at.isdecimal() or len(expires_at) > 15:
            raise errors.Forbidden("The signature is not valid.")
        self._signer.verify_upload(image_id, int(expires_at), request.get_param("signature") or "")
        _take(request, lambda body: receive_from_agent(self.services, image_id, body))
        response.status = 204


def _take(request: falcon.Request, verb: Callable[[verbs.Blocks], None]) -> None:
    body = RequestBody(request)
    try:
        verb(body.blocks())
    except (errors.TooLarge, errors.QuotaExceeded):
        if not body.is_short:
            raise  # there may be no end to it; the server closes the connection
        body.drain()
        raise
    except errors.HostlerError:
        body.drain()
        raise
