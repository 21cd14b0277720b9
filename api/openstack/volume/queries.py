"""What the lists of this face have in common: whose rows, filters, pages, the count, and the answer's shape.

A filter that a list does not know is refused since 3.31 and passed over before. From administrators, and where a list
never refuses (`Listed.open`), it matches nothing, as in the reference. Since 3.31 members may use the filters that
`GET /resource_filters` names, and no others: those are the reference's defaults.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Final

import falcon

from api.microversions import ALWAYS, Span, Version
from api.openstack.volume import params
from api.openstack.volume.microversion import since
from api.services import Services
from hostler import errors, ids
from hostler.query import text
from hostler.query.expressions import NOTHING, Expression, Operator
from hostler.query.paging import Page, Query

_COUNTED: Final = since(45)
_LIKE: Final = since(34)
_REFUSING: Final = since(31)
_NOT_FILTERS: Final = frozenset({*params.PAGE, "all_tenants", "project_id", "with_count"})


def likes(**paths: str) -> dict[str, text.Filter]:
    """Return the filters by part of a text, whatever the case: `name~`."""
    return {f"{name}~": text.any_of(path, Operator.ICONTAINS) for name, path in paths.items()}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Listed:
    """What a list can be asked for: its filters (`later` ones since a version), which of them
    `GET /resource_filters` names, its sort keys and the fields they name, the policy of lists of all projects
    (None: there are none), and since when it refuses unknown filters (`open`: never)."""

    filters: Mapping[str, text.Filter]
    later: Mapping[str, Span] = dataclasses.field(default_factory=dict)
    published: tuple[str, ...] = ()
    sortable: Mapping[str, str]
    everywhere: str | None = None
    refusing: Span = _REFUSING
    open: bool = False


def query_of(request: falcon.Request, services: Services, listed: Listed) -> Query:
    """Return what a list is asked for.

    A caller who may not see all projects' rows and asks for them gets those of one project, as the published API does.
    """
    context = params.caller(request)
    found = params.read(request, dict.fromkeys(request.params, ALWAYS))
    project_id = context.project_id
    if listed.everywhere is not None and _everybody(params.one(found, "all_tenants")) \
            and services.policy.allows(context, listed.everywhere):
        wanted = params.one(found, "project_id")
        project_id = None if wanted is None else ids.canonical(wanted) or wanted
    return params.page_of(
        request, services.conf, sortable=listed.sortable, where=_where(request, listed, found, bool(context.is_admin)),
        project_id=project_id, offset=params.offset_of(request),
        with_count=request.context.version in _COUNTED and params.truth(
            "with_count", params.one(found, "with_count")))


def _where(request: falcon.Request, listed: Listed, found: Mapping[str, list[str]], is_admin: bool) -> Expression:
    version = request.context.version
    asked = {name: values[-1:] for name, values in found.items() if name not in _NOT_FILTERS}
    unknown = [name for name in asked if not _knows(listed, name, version, is_admin)]
    if unknown and (is_admin or listed.open):
        return NOTHING
    if unknown and version in listed.refusing:
        raise errors.Invalid(reason=f"Invalid filters {','.join(unknown)[:200]} are found in query options.")
    return text.where(listed.filters, {
        name: values for name, values in asked.items()
        if name not in unknown and version in listed.later.get(name, ALWAYS)})


def _knows(listed: Listed, name: str, version: Version, is_admin: bool) -> bool:
    if name not in listed.filters or (name.endswith("~") and version not in _LIKE):
        return False
    return is_admin or not listed.published or version not in listed.refusing or name in listed.published


def _everybody(asked: str | None) -> bool:
    # The client sends "1", "True", or the bare name.
    return asked is not None and (asked == "" or params.truth("all_tenants", asked))


def body_of(request: falcon.Request, services: Services, page: Page, *, member: str, path: str,
            view: Callable[[Any], dict[str, Any]], links: str | None = None) -> dict[str, Any]:
    """Return a list's answer: the rows' views, the link to the next page of a full one (as member `links`, else
    `<member>_links`), and the count if asked for."""
    body: dict[str, Any] = {member: [view(row) for row in page.rows]}
    if page.full:
        base = params.base_of(services.conf, request)
        body[links or f"{member}_links"] = params.page_links(request, base, path, page.rows[-1].id)
    if page.count is not None:
        body["count"] = page.count
    return body


def links_of(base: str, path: str) -> list[dict[str, str]]:
    """Return the links of the resource at `path` (below the version)."""
    return [{"rel": "self", "href": f"{base}{params.ROOT}{path}"}, {"rel": "bookmark", "href": f"{base}{path}"}]


