"""The microversions of the Block Storage API; `request.context.version` is a pair like (3, 71).

Until 3.67 the project stood in the path: /v3/{project_id}/volumes. Both spellings lead to the same resource.
"""

from __future__ import annotations

from typing import Final

import falcon

from api.microversions import ALWAYS, Negotiation, Span, Version, available, text_of
from hostler import ids

__all__ = ["ALWAYS", "MAXIMUM", "MINIMUM", "Span", "Version", "available", "name_version", "prepare", "since",
           "text_of", "until"]

MINIMUM: Final[Version] = (3, 0)
MAXIMUM: Final[Version] = (3, 71)
_NEGOTIATION = Negotiation("volume", MINIMUM, MAXIMUM)
name_version = _NEGOTIATION.name_version


def prepare(request: falcon.Request, response: falcon.Response) -> None:
    """Take the project out of the path (`request.context.path_project`) and set `request.context.version`."""
    request.context.path_project = None
    segments = request.path.split("/", 4)  # "", volume, v3, the project, the rest
    project_id = ids.canonical(segments[3]) if len(segments) == 5 else None
    if project_id is not None:
        request.context.path_project = project_id
        request.path = "/".join((*segments[:3], segments[4]))
    _NEGOTIATION.negotiate(request, response)


def since(minor: int) -> Span:
    """Return the span from 3.`minor` on."""
    return Span((3, minor))


def until(minor: int) -> Span:
    """Return the span up to and with 3.`minor`."""
    return Span(until=(3, minor))
