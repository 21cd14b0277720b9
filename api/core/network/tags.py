"""Tags of networks, subnets, ports and security groups: short words, each at most once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import orm

from api import names
from api.core.network.scope import WORDS, Caller, find, find_to_change, set_changed
from hostler import errors
from hostler.db.models import QosPolicy

# Published names of actions that are not the noun's.
_ACTIONS: Final[Mapping[Any, str]] = {QosPolicy: "policy"}
MAX_TAGS = 50
MAX_LENGTH = 255


def show_tags(caller: Caller, model: Any, identifier: str) -> list[str]:
    """Return the tags of a resource; raises NotFound."""
    with caller.services.db.reading() as session:
        return list(find(session, caller, model, identifier).tags)


def set_tags(caller: Caller, model: Any, identifier: str, tags: Sequence[str]) -> list[str]:
    """Replace the tags of a resource."""
    return _edit(caller, model, identifier, lambda _present: list(dict.fromkeys(tags)))


def add_tag(caller: Caller, model: Any, identifier: str, tag: str) -> list[str]:
    """Add a tag to a resource; may be repeated."""
    return _edit(caller, model, identifier, lambda present: present if tag in present else [*present, tag])


def remove_tag(caller: Caller, model: Any, identifier: str, tag: str) -> list[str]:
    """Remove a tag from a resource; raises NotFound when it does not have it."""
    def without(present: list[str]) -> list[str]:
        if tag not in present:
            raise tag_not_found(tag)
        return [other for other in present if other != tag]
    return _edit(caller, model, identifier, without)


def tag_not_found(tag: str) -> errors.NotFound:
    """Return the error for a tag that the resource does not have."""
    return errors.NotFound(f"Tag {tag} could not be found.", resource="tag", id=tag)


def _edit(caller: Caller, model: Any, identifier: str, change: Callable[[list[str]], list[str]]) -> list[str]:
    def work(session: orm.Session) -> tuple[list[str], list[str]]:
        row = find_to_change(session, caller, model, identifier)
        caller.check(f"update_{_ACTIONS.get(model) or WORDS[model].replace(' ', '_')}", row.project_id)
        tags = change(list(row.tags))
        _check(tags)
        set_changed(row, {"tags": tags})
        return tags, []
    return caller.write(work)


def _check(tags: Sequence[str]) -> None:
    if len(tags) > MAX_TAGS:
        raise errors.InvalidField(field="tags", value=str(len(tags)), reason=f"At most {MAX_TAGS} tags fit.")
    for tag in tags:
        if len(tag) > MAX_LENGTH or "," in tag:
            raise errors.InvalidField(field="tags", value=tag[:80],
                                      reason=f"A tag has 1 to {MAX_LENGTH} characters and no comma.")
        names.check_name("tags", tag, slashes=True)
