"""The two JSON patch dialects of the Image API, read into changes.

>>> read_changes("application/openstack-images-v2.1-json-patch", [{"op": "remove", "path": "/os_type"}])
[Change(verb='remove', name='os_type', value=None)]
"""

from __future__ import annotations

import re
from typing import Any, cast

import falcon

from api.core.image.images import READ_ONLY, RESERVED, Change
from api.openstack.image.schemas import validate_image
from hostler import errors

_VERBS = ("add", "replace", "remove")
_V21 = "application/openstack-images-v2.1-json-patch"
_V20 = "application/openstack-images-v2.0-json-patch"
_BAD_ESCAPE = re.compile(r"~(?![01])")


def read_changes(content_type: str | None, body: Any) -> list[Change]:
    """Return the changes a PATCH body asks for; raises Invalid, or falcon's 415 for another dialect."""
    dialect = (content_type or "").partition(";")[0].strip().lower()
    if dialect not in (_V20, _V21):
        raise falcon.HTTPUnsupportedMediaType(description=f"Send {_V21}.")
    if not isinstance(body, list):
        raise errors.Invalid(reason="Request body must be a JSON array of operation objects.")
    return [_change(step, dialect) for step in body]


def _change(step: Any, dialect: str) -> Change:
    if not isinstance(step, dict):
        raise errors.Invalid(reason="Operations must be JSON objects.")
    verb, path = (step.get("op"), step.get("path")) if dialect == _V21 else _verb_v20(step)
    if verb not in _VERBS:
        raise errors.Invalid(reason=f"An operation must be one of {', '.join(_VERBS)}.")
    name = _name(path)
    if verb == "remove":
        return Change("remove", name)
    if "value" not in step:
        raise errors.Invalid(reason=f"Operation {verb} needs a value.")
    if name not in READ_ONLY and name not in RESERVED:
        validate_image({name: step["value"]})
    return Change(cast("Any", verb), name, step["value"])


def _verb_v20(step: dict[str, Any]) -> tuple[Any, Any]:
    verbs = [verb for verb in _VERBS if verb in step]
    if len(verbs) != 1:
        raise errors.Invalid(reason=f"Operation objects must contain exactly one of {', '.join(_VERBS)}.")
    return verbs[0], step[verbs[0]]


def _name(path: Any) -> str:
    """Return the attribute that a JSON pointer names; raises Invalid for pointers of more than one step."""
    if not isinstance(path, str) or not path.startswith("/"):
        raise errors.Invalid(reason=f"Pointer `{path}` does not start with \"/\".")
    step = path[1:]
    if not step or "/" in step or _BAD_ESCAPE.search(step):
        raise errors.Invalid(reason=f"Pointer `{path}` names no attribute of an image.")
    return step.replace("~1", "/").replace("~0", "~")
