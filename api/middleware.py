"""What happens to every request: a request id, the face's negotiation, authentication, an access log line.

A resource that serves without a token says so: `public = True` (or `public = ("GET",)` for some methods).
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Sequence
from typing import Any

import falcon

from api import links
from api.errors import face_of
from api.face import Face
from api.front.gateway import AUTHENTICATED
from api.services import Services
from hostler import errors, ids
from hostler.context import RequestContext
from hostler.db import committed

LOG = logging.getLogger("hostler.access")
_REQUEST_ID = re.compile(r"req-[0-9a-f-]{36}")


class RequestIds:
    """Give each request its id, in the log and in the answer; write the access log."""

    def process_request(self, request: falcon.Request, _response: falcon.Response) -> None:
        """Take the caller's global request id when it is well formed; make one of our own."""
        committed.begin_request()
        request.context.started = time.monotonic()
        request.context.caller = None
        given = request.get_header("X-OpenStack-Request-ID") or ""
        request.context.global_request_id = given if _REQUEST_ID.fullmatch(given) else None
        request.context.request_id = f"req-{ids.new_id()}"
        # Log lines take the thread's context; until it is known who asks, that is not the request before this one.
        RequestContext(request_id=request.context.request_id)

    def process_response(self, request: falcon.Request, response: falcon.Response, _resource: Any, _ok: bool) -> None:
        """Name the request id and log one line."""
        committed.end_request()
        request_id = request.context.request_id
        response.set_header("X-OpenStack-Request-ID", request_id)
        response.set_header("X-Compute-Request-ID", request_id)
        LOG.info("%s %s %s %s %.1fms", request_id, request.method, request.relative_uri, response.status_code,
                 (time.monotonic() - request.context.started) * 1000)


class Faces:
    """Let the face negotiate before, and finish after, the handler."""

    def __init__(self, faces: Sequence[Face]) -> None:
        self._faces = faces

    def process_request(self, request: falcon.Request, response: falcon.Response) -> None:
        """Run the face's `prepare`; refuse a URL with a NUL, which no name can hold and PostgreSQL cannot store."""
        face = face_of(self._faces, request.path)
        request.context.face = face
        links.check_host(request)
        if face.prepare is not None:
            face.prepare(request, response)
        path = request.env.get("PATH_INFO", request.path)
        if "\0" in path or "%00" in request.query_string:
            raise errors.Invalid(reason="The URL must not contain the character NUL.")
        # Proxies resolve `.` and `..`, so what such a path means depends on who reads it.
        if "/." in path and not {".", ".."}.isdisjoint(path.split("/")):
            raise errors.Invalid(reason="The path must not contain the segments '.' and '..'.")
        if face.empty_id_is_404 and _has_empty_segment(path, face.prefix):
            raise errors.NotFound("The resource could not be found.")

    def process_response(self, request: falcon.Request, response: falcon.Response, _resource: Any, _ok: bool) -> None:
        """Run the face's `finish`."""
        face = getattr(request.context, "face", None)
        if face is not None and face.finish is not None:
            face.finish(request, response)


def _has_empty_segment(path: str, prefix: str) -> bool:
    """Return whether a name or id in a path is empty; a version's root may end with a slash."""
    below = path.removeprefix(prefix).lstrip("/")
    return "//" in below or (below.endswith("/") and below.count("/") > 1) or path.startswith(prefix + "//")


class Authentication:
    """Turn the token into `request.context.caller` (a RequestContext), or refuse with 401."""

    def __init__(self, services: Services) -> None:
        self._identity = services.identity
        self._policy = services.policy

    def process_resource(self, request: falcon.Request, _response: falcon.Response, resource: Any,
                         _params: dict[str, Any]) -> None:
        """Authenticate unless the resource is public for this method."""
        public = getattr(resource, "public", False)
        if public is True or (public and request.method in public):
            return
        token = request.get_header("X-Auth-Token") or request.get_header("X-Storage-Token")
        if not token:
            raise errors.Unauthorized()
        caller = self._identity.authenticate_token(token, request_id=request.context.request_id)
        if (known := request.env.get(AUTHENTICATED)) is not None:
            known()
        caller.is_admin = self._policy.is_admin(caller)
        request.context.caller = caller
        if (caller.system_scope or caller.domain_id) and not request.context.face.any_scope:
            raise errors.Forbidden("This API takes tokens that are scoped to a project only.")
