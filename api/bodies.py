"""Request bodies: JSON of bounded size, depth and number of items, compared with a JSON schema.

What is wrong is said with the field's name. A hostile body must not cost much before its sender is known (logging in
reads one), so a check ends at the first error instead of listing all of them, and looks at sizes before contents.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any, Final

import falcon
import jsonschema
import orjson

from api import audit
from hostler import errors, ids

Validator = Callable[[Any], None]
MAX_DEPTH: Final = 32
MAX_ITEMS: Final = 20_000
# Keywords that look at a value's type and size; the others look at everything in it.
_CHEAP: Final = ("$schema", "$defs", "type", "const", "enum", "maxItems", "minItems", "maxProperties", "minProperties",
                 "required", "maxLength", "minLength")


def read_json(request: falcon.Request, max_bytes: int = 1048576) -> Any:
    """Return the parsed body; raises Invalid for malformed JSON and TooLarge past `max_bytes`."""
    length = request.content_length
    if length is not None and length > max_bytes:
        raise errors.TooLarge(reason=f"at most {max_bytes} bytes are accepted")
    raw = request.bounded_stream.read(max_bytes + 1) if length is not None else request.stream.read(max_bytes + 1)
    if len(raw) > max_bytes:
        raise errors.TooLarge(reason=f"at most {max_bytes} bytes are accepted")
    if b"\\u0000" in raw:
        raise errors.Invalid(reason="A text must not contain the character NUL.")
    if not raw:
        raise errors.Invalid(reason="A JSON body is required.")
    opened = raw.count(b"[") + raw.count(b"{")
    if opened + raw.count(b",") > MAX_ITEMS:
        raise errors.Invalid(reason=f"Malformed request body: it has more than {MAX_ITEMS} items.")
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise errors.Invalid(reason=f"Malformed request body: {error}") from error
    if opened > MAX_DEPTH:
        _check_depth(body)
    if isinstance(body, dict) and len(body) == 1 and request.path.endswith("/action"):
        audit.note(request, action=next(iter(body)))
    return body


def _check_depth(body: Any) -> None:
    level = [body]
    for _ in range(MAX_DEPTH):
        level = [item for value in level if isinstance(value, dict | list)
                 for item in (value.values() if isinstance(value, dict) else value)]
        if not level:
            return
    raise errors.Invalid(reason=f"Malformed request body: it is nested more than {MAX_DEPTH} levels deep.")


_FORMATS = jsonschema.FormatChecker()


@_FORMATS.checks("UUID")
def _is_uuid(value: Any) -> bool:
    """Return whether a text is an id in either spelling (jsonschema's own `uuid` is the hyphened one alone)."""
    return not isinstance(value, str) or ids.canonical(value) is not None


def compile_schema(schema: dict[str, Any]) -> Validator:
    """Return a function that raises InvalidField at the first thing in a body that `schema` forbids."""
    validator = jsonschema.Draft202012Validator(_cheap_first(schema), format_checker=_FORMATS)

    def validate(body: Any) -> None:
        error = jsonschema.exceptions.best_match(itertools.islice(validator.iter_errors(body), 1))
        if error is None:
            return
        raise errors.InvalidField(field=_field(error), value=_short(error.instance), reason=_short(error.message))

    return validate


def _cheap_first(schema: Any) -> Any:
    """Return `schema` with the keywords in the order in which they shall be checked."""
    if isinstance(schema, list | tuple):
        return [_cheap_first(item) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    ordered = sorted(schema, key=lambda key: key not in _CHEAP)
    return {key: _cheap_first(schema[key]) for key in ordered}


def _field(error: jsonschema.ValidationError) -> str:
    """Return the field's path without the resource it is in (`size`, not `volume.size`), as the references word it."""
    path = list(error.absolute_path)
    inside = path[1:] if len(path) > 1 and isinstance(path[1], str) else path
    return ".".join(str(part) for part in inside) or "body"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 200 else text[:200] + "…"
