"""The application: every face below its prefix, one stack of middleware, one way to word errors."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import falcon
import orjson
from falcon import media

from api import errors as api_errors
from api import middleware
from api.audit import Audit
from api.face import Face
from api.front.gateway import HEALTH_PATH
from api.rate_limits import RateLimits
from api.services import Services


class Health:
    """Says that this process serves requests (for load balancers)."""

    public = True

    def on_get(self, _request: falcon.Request, response: falcon.Response) -> None:
        """Answer 200."""
        response.media = {"status": "ok"}

    on_head = on_get


def _dumps(body: Any) -> bytes:
    try:
        return orjson.dumps(body)
    except orjson.JSONEncodeError:
        # orjson stops at 64 bits, and an IPv6 subnet has more addresses.
        return json.dumps(body).encode()


def _json_handler() -> media.JSONHandler:
    return media.JSONHandler(dumps=_dumps, loads=orjson.loads)


def build(services: Services, faces: Sequence[Face]) -> falcon.App[Any, Any]:
    """Return the WSGI application."""
    stack: Any = [middleware.RequestIds(), Audit(services.audit, services.conf.host), middleware.Faces(faces),
                  middleware.Authentication(services), RateLimits(services.conf)]
    app = falcon.App(middleware=stack)
    app.req_options.strip_url_path_trailing_slash = True
    app.req_options.keep_blank_qs_values = True
    app.req_options.auto_parse_qs_csv = False
    handler = _json_handler()
    for options in (app.req_options, app.resp_options):
        options.media_handlers["application/json"] = handler
    app.add_route(HEALTH_PATH, Health())
    for face in faces:
        for path, resource in face.routes(services):
            if face.heads and hasattr(resource, "on_get") and not hasattr(resource, "on_head"):
                resource.on_head = resource.on_get  # the framework leaves out the body
            app.add_route(face.prefix + path, resource)
    api_errors.install(app, faces, services.conf)
    return app
