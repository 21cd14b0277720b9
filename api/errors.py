"""The one place where an error becomes a response: family → HTTP status, then the face's own wording."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import falcon
from oslo_config import cfg

from api.face import Face
from api.links import base_url
from hostler import errors, i18n
from hostler.db import committed, outage

LOG = logging.getLogger(__name__)

# The first family that fits decides; leaves stand before their families.
STATUS: tuple[tuple[type[errors.HostlerError], int], ...] = (
    (errors.TooManyRequests, 429),
    (errors.TooLarge, 413),
    (errors.StaleRevision, 412),
    (errors.NotFound, 404),
    (errors.Gone, 410),
    (errors.Invalid, 400),
    (errors.Conflict, 409),
    (errors.Forbidden, 403),
    (errors.Unauthorized, 401),
    (errors.NoCapacity, 409),
    (errors.OutcomeUnknown, 504),
    (errors.Unavailable, 503),
    (errors.NotImplementedHere, 501),
)

# What a client is told to wait after a 503.
RETRY_AFTER_S = 5

_FROM_HTTP: dict[int, type[errors.HostlerError]] = {
    400: errors.Invalid, 401: errors.Unauthorized, 403: errors.Forbidden, 404: errors.NotFound,
    409: errors.Conflict, 413: errors.TooLarge, 501: errors.NotImplementedHere, 503: errors.Unavailable,
}


def status_of(error: errors.HostlerError, face: Face | None = None) -> int:
    """Return the HTTP status of an error (in a face's own view); 500 for a fault of ours."""
    table = STATUS if face is None else (*face.statuses, *STATUS)
    return next((status for family, status in table if isinstance(error, family)), 500)


def face_of(faces: Sequence[Face], path: str) -> Face:
    """Return the face that `path` belongs to; the first when none does."""
    return next((face for face in faces if path == face.prefix or path.startswith(face.prefix + "/")), faces[0])


def _known(request: falcon.Request, error: Exception) -> errors.HostlerError:
    """Return what an unexpected error means to a client, and log it."""
    if outage.is_collision(error):
        # What the request needs was there when it was looked up, and no longer when it was written.
        LOG.warning("%s %s lost a race: %s", request.method, request.path, error)
        return errors.Conflict(reason="Another request changed or deleted what this one needs. Nothing was changed.")
    LOG.error("%s %s failed", request.method, request.path, exc_info=error)
    return errors.Internal()


def install(app: falcon.App[Any, Any], faces: Sequence[Face], conf: cfg.ConfigOpts) -> None:
    """Teach `app` to answer every exception in the words of the face it was raised under."""

    def respond(request: falcon.Request, response: falcon.Response, status: int, error: errors.HostlerError) -> None:
        face = face_of(faces, request.path)
        request_id = getattr(request.context, "request_id", "")
        response.status = status
        worded = i18n.in_language(error, request.get_header("Accept-Language"))
        body = face.render_error(status, worded, request_id)
        if face.write_error is None:
            response.media = body
        else:
            face.write_error(request, response, body)
        if status == 503:
            response.set_header("Retry-After", str(RETRY_AFTER_S))
        if status == 429:
            response.set_header("Retry-After", str(error.fields["retry_after_s"]))
        if status == 401:
            response.set_header("WWW-Authenticate", f'Keystone uri="{base_url(conf, request)}/identity"')

    def ours(request: falcon.Request, response: falcon.Response, error: errors.HostlerError, _params: object) -> None:
        if isinstance(error, errors.DatabaseUnavailable) and committed.has_committed():
            error = errors.OutcomeUnknown()
        status = status_of(error, face_of(faces, request.path))
        if status == 500:
            LOG.error("%s %s failed", request.method, request.path, exc_info=error)
            error = errors.Internal()
        respond(request, response, status, error)

    def http(request: falcon.Request, response: falcon.Response, error: falcon.HTTPError, _params: object) -> None:
        if error.status_code == 405 and request.env["PATH_INFO"].endswith("/"):
            # The id at the path's end is empty, and what it should name is not there.
            error = falcon.HTTPNotFound()
        if error.headers:
            response.set_headers(error.headers)
        family = _FROM_HTTP.get(error.status_code, errors.HostlerError)
        text = error.description or error.title or "The resource could not be found."
        respond(request, response, error.status_code, family(text))

    def unexpected(request: falcon.Request, response: falcon.Response, error: Exception, _params: object) -> None:
        known = _known(request, error)
        respond(request, response, status_of(known), known)

    handlers: tuple[tuple[type[Exception], Callable[..., None]], ...] = (
        (Exception, unexpected), (falcon.HTTPError, http), (errors.HostlerError, ours))
    for family, handler in handlers:
        app.add_error_handler(family, handler)
