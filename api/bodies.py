"""Request bodies: JSON of bounded size, held against a JSON schema; what is wrong is said with the field's name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import falcon
import jsonschema
import orjson

from hostler import errors

Validator = Callable[[Any], None]


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
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise errors.Invalid(reason=f"Malformed request body: {error}") from error


def compile_schema(schema: dict[str, Any]) -> Validator:
    """Return a function that raises InvalidField at the first thing in a body that `schema` forbids."""
    validator = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())

    def validate(body: Any) -> None:
        if validator.is_valid(body):
            return
        error = jsonschema.exceptions.best_match(validator.iter_errors(body))
        raise errors.InvalidField(field=_field(error), value=_short(error.instance), reason=_short(error.message))

    return validate


def _field(error: jsonschema.ValidationError) -> str:
    path = [str(part) for part in error.absolute_path]
    return ".".join(path) if path else "body"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 200 else text[:200] + "…"
