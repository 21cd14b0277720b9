"""Parameters of pages that every face spells alike: `limit`, and the link to the next page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import falcon

from hostler import errors


def limit_of(request: falcon.Request, maximum: int) -> int:
    """Return the page size asked for, capped at `maximum`; raises InvalidField for anything but a whole number ≥ 0."""
    text = request.get_param("limit")
    if text is None:
        return maximum
    try:
        limit = int(text)
    except ValueError:
        raise errors.InvalidField(field="limit", value=text[:80], reason="It must be an integer.") from None
    if limit < 0:
        raise errors.InvalidField(field="limit", value=text[:80], reason="It must not be negative.")
    return min(limit, maximum)


def sort_of(request: falcon.Request, sortable: Mapping[str, str]) -> list[tuple[str, bool]]:
    """Return the order asked for as `sort=key:dir,key` or as `sort_key` and `sort_dir`, descending where no direction
    is named; raises for keys and directions that are not known."""
    combined, keys, directions = (request.get_param_as_list(name) or [] for name in ("sort", "sort_key", "sort_dir"))
    if combined and (keys or directions):
        raise errors.Invalid(reason="The 'sort_key' and 'sort_dir' parameters are deprecated and cannot be used with "
                                    "the 'sort' parameter.")
    if combined:
        terms = [term.strip().partition(":") for text in combined for term in text.split(",") if term.strip()]
        pairs = [(key, direction or "desc") for key, _, direction in terms]
    else:
        keys = keys or (["created_at"] if directions else [])
        pairs = list(zip(keys, [*directions, *["desc"] * len(keys)], strict=False))
    return [(field_of(key, sortable), descending(direction)) for key, direction in pairs if key]


def field_of(key: str, sortable: Mapping[str, str]) -> str:
    """Return the field that a published sort key names; raises InvalidField."""
    if key not in sortable:
        raise errors.InvalidField(field="sort_key", value=key[:80],
                                  reason=f"It is not a key to sort by. Known keys: {', '.join(sortable)}.")
    return sortable[key]


def descending(direction: str) -> bool:
    """Return whether a direction is `desc` and not `asc`; raises InvalidField for any other."""
    if direction not in ("asc", "desc"):
        raise errors.InvalidField(field="sort_dir", value=direction[:80], reason="It must be 'asc' or 'desc'.")
    return direction == "desc"


def next_link(request: falcon.Request, base_url: str, marker: str) -> str:
    """Return the URL of the page after `marker`, with every other parameter kept."""
    query: Mapping[str, Any] = {**request.params, "marker": marker}
    return f"{base_url}?{falcon.to_query_str(dict(query), prefix=False, comma_delimited_lists=False)}"
