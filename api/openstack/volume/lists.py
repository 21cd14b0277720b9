"""What the lists of this face have in common: whose rows, filters, pages, the count, and the answer's shape."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

import falcon

from api.core.row_pages import RowPage, RowQuery
from api.microversions import ALWAYS, Span
from api.openstack.volume import params
from api.openstack.volume.microversion import since
from api.services import Services
from hostler import errors, ids

_COUNTED: Final = since(45)
_LIKE: Final = since(34)
_LONGEST_MAP: Final = 4096
_KEY: Final = re.compile(r"[a-zA-Z0-9-_:. ]{1,255}")


def likes(*names: str) -> dict[str, Span]:
    """Return the spans of filters by part of a text: `name~`."""
    return {f"{name}~": _LIKE for name in names}


def query_of(request: falcon.Request, services: Services, filters: Mapping[str, Span], *,
             sortable: Collection[str], everywhere: str | None) -> RowQuery:
    """Return what a list is asked for; the values of `filters` are texts.

    `everywhere` is the policy of the lists of all projects (all_tenants=1), None where there are none. Whoever may
    not see them gets his own project's, as the published API does.
    """
    context = params.caller(request)
    found = params.read(request, {**filters, "all_tenants": ALWAYS, "project_id": ALWAYS, "with_count": _COUNTED})
    project_id = context.project_id
    if everywhere is not None and _everybody(params.one(found, "all_tenants")) \
            and services.policy.allows(context, everywhere):
        wanted = params.one(found, "project_id")
        project_id = None if wanted is None else ids.canonical(wanted) or wanted
    texts = {name: values[-1] for name, values in found.items() if name in filters}
    return RowQuery(page=params.page_of(request, services.conf, sortable=sortable), project_id=project_id,
                    filters=texts, offset=params.offset_of(request),
                    with_count=params.truth("with_count", params.one(found, "with_count")))


def _everybody(text: str | None) -> bool:
    # The client sends "1", "True", or the bare name.
    return text is not None and (text == "" or params.truth("all_tenants", text))


def body_of(request: falcon.Request, services: Services, page: RowPage, *, member: str, path: str,
            view: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
    """Return a list's answer: the rows' views, the link to the next page, and the count when it was asked for."""
    body: dict[str, Any] = {member: [view(row) for row in page.rows]}
    if page.more and page.rows:
        base = params.base_of(services.conf, request)
        body[f"{member}_links"] = params.page_links(request, base, path, page.rows[-1].id)
    if page.count is not None:
        body["count"] = page.count
    return body


def links_of(base: str, path: str) -> list[dict[str, str]]:
    """Return the links of the resource at `path` (below the version)."""
    return [{"rel": "self", "href": f"{base}{params.ROOT}{path}"}, {"rel": "bookmark", "href": f"{base}{path}"}]


def map_filter(name: str, text: str | None) -> dict[str, str]:
    """Return the map that a filter names, spelt as clients do: `{'key': 'value'}`; raises InvalidField."""
    if text is None:
        return {}
    try:
        found = ast.literal_eval(text[:_LONGEST_MAP])
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        found = None
    if not isinstance(found, dict) or not all(isinstance(value, str) and _KEY.fullmatch(str(key))
                                              for key, value in found.items()):
        raise errors.InvalidField(field=name, value=text[:80], reason="It must be a map like {'key': 'value'}.")
    return {str(key): value for key, value in found.items()}
