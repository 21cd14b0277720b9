"""How the Image API words errors: in the type that the client prefers, HTML when it does not say.

The reference's errors are webob's. python-glanceclient (and Horizon with it) asks for nothing in particular and expects
HTML; it fails on a flat JSON body, which it only knows with one more level.
"""

from __future__ import annotations

import html
from typing import Any, Final

import falcon
from falcon.util import mediatypes

from hostler import errors

# A quota that is full is answered like a body that is too large.
STATUSES: Final = ((errors.QuotaExceeded, 413),)
# In the order in which they are offered.
_HTML: Final = "text/html"
_JSON: Final = "application/json"


def render(status: int, error: errors.HostlerError, _request_id: str) -> dict[str, Any]:
    """Return an error's body as JSON has it."""
    line = falcon.code_to_http_status(status)
    return {"message": str(error), "code": line, "title": line.partition(" ")[2]}


def write(request: falcon.Request, response: falcon.Response, body: dict[str, Any]) -> None:
    """Write an error's body as HTML or JSON, or as plain text when the client accepts neither."""
    preferred = _preferred(request.get_header("Accept") or "*/*")
    if preferred == _JSON:
        response.media = body
        return
    line, message = body["code"], body["message"]
    if preferred == _HTML:
        response.content_type = "text/html; charset=UTF-8"
        response.text = (f"<html>\n <head>\n  <title>{line}</title>\n </head>\n <body>\n  <h1>{line}</h1>\n"
                         f"  {html.escape(message)}<br /><br />\n\n\n </body>\n</html>")
    else:
        response.content_type = "text/plain; charset=UTF-8"
        response.text = f"{line}\n\n{message}\n\n"


def _preferred(accept: str) -> str | None:
    try:
        found = {offer: mediatypes.quality(offer, accept) for offer in (_HTML, _JSON)}
    except ValueError:  # a header that cannot be understood asks for nothing in particular
        return _HTML
    best = max(found, key=lambda offer: found[offer])
    return best if found[best] > 0 else None
