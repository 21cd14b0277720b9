"""The Image API's answers, from the reference's serialisers (`glance/api/v2`). Error bodies may have several types."""

from __future__ import annotations

import re
from typing import Any

from tests.harness.schemas.validation import Schema

Version = tuple[int, int]

_TEXT = {"type": "string"}
_TEXT_OR_NULL = {"type": ["string", "null"]}
_NUMBER = {"type": "integer"}
_NUMBER_OR_NULL = {"type": ["integer", "null"]}
_FLAG = {"type": "boolean"}
_TIME = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"}
_UUID = {"type": "string", "pattern": "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"}


def _object(required: dict[str, Any], optional: dict[str, Any] | None = None, others: Any = False) -> dict[str, Any]:
    return {"type": "object", "properties": {**required, **(optional or {})}, "required": list(required),
            "additionalProperties": others}


# Properties are texts; the names of this service's own (`os_glance_…`) but the two of imports are never shown.
_IMAGE = {
    **_object({
        "id": _UUID, "name": _TEXT_OR_NULL, "owner": _TEXT_OR_NULL, "size": _NUMBER_OR_NULL,
        "status": {"enum": ["queued", "saving", "active", "killed", "deleted", "uploading", "importing",
                            "pending_delete", "deactivated"]},
        "visibility": {"enum": ["community", "public", "private", "shared"]}, "min_disk": _NUMBER,
        "protected": _FLAG, "os_hidden": _FLAG, "virtual_size": _NUMBER_OR_NULL, "min_ram": _NUMBER,
        "disk_format": _TEXT_OR_NULL, "container_format": _TEXT_OR_NULL, "checksum": _TEXT_OR_NULL,
        "os_hash_algo": _TEXT_OR_NULL, "os_hash_value": _TEXT_OR_NULL, "created_at": _TIME, "updated_at": _TIME,
        "tags": {"type": "array", "items": _TEXT, "uniqueItems": True},
        "self": {"type": "string", "pattern": "^/v2/images/[^/]+$"},
        "file": {"type": "string", "pattern": "^/v2/images/[^/]+/file$"}, "schema": {"const": "/v2/schemas/image"},
    }, {"stores": _TEXT, "os_glance_failed_import": _TEXT, "os_glance_importing_to_stores": _TEXT}, _TEXT),
    "patternProperties": {"^os_glance_(?!failed_import$|importing_to_stores$)": False, "^hostler": False},
}
_MEMBER = _object({"member_id": _TEXT, "image_id": _UUID, "status": {"enum": ["pending", "accepted", "rejected"]},
                   "created_at": _TIME, "updated_at": _TIME, "schema": {"const": "/v2/schemas/member"}})
_STORE = _object({"id": _TEXT}, {"description": _TEXT, "default": _TEXT, "read-only": _TEXT})
_ACCEPTED = {"type": ["string", "null"], "maxLength": 0}

# (method, path, status) → the body; a body None is not compared (data), an empty one must be empty.
_ANSWERS: tuple[tuple[str, str, int, Any], ...] = (
    ("GET", "/v2/images", 200, _object({
        "images": {"type": "array", "items": _IMAGE}, "first": _TEXT, "schema": {"const": "/v2/schemas/images"}},
        {"next": _TEXT})),
    ("POST", "/v2/images", 201, _IMAGE),
    ("GET", "/v2/images/{id}", 200, _IMAGE),
    ("PATCH", "/v2/images/{id}", 200, _IMAGE),
    ("DELETE", "/v2/images/{id}", 204, _ACCEPTED),
    ("GET", "/v2/images/{id}/file", 200, None),
    ("GET", "/v2/images/{id}/file", 204, _ACCEPTED),
    ("GET", "/v2/images/{id}/file", 206, None),
    ("PUT", "/v2/images/{id}/file", 204, _ACCEPTED),
    ("PUT", "/v2/images/{id}/stage", 204, _ACCEPTED),
    ("POST", "/v2/images/{id}/import", 202, _ACCEPTED),
    ("POST", "/v2/images/{id}/actions/deactivate", 204, _ACCEPTED),
    ("POST", "/v2/images/{id}/actions/reactivate", 204, _ACCEPTED),
    ("GET", "/v2/images/{id}/tasks", 200, _object({"tasks": {"type": "array", "items": {"type": "object"}}})),
    ("PUT", "/v2/images/{id}/tags/{tag}", 204, _ACCEPTED),
    ("DELETE", "/v2/images/{id}/tags/{tag}", 204, _ACCEPTED),
    ("GET", "/v2/images/{id}/members", 200, _object({
        "members": {"type": "array", "items": _MEMBER}, "schema": {"const": "/v2/schemas/members"}})),
    ("POST", "/v2/images/{id}/members", 200, _MEMBER),
    ("GET", "/v2/images/{id}/members/{id}", 200, _MEMBER),
    ("PUT", "/v2/images/{id}/members/{id}", 200, _MEMBER),
    ("DELETE", "/v2/images/{id}/members/{id}", 204, _ACCEPTED),
    ("GET", "/v2/info/import", 200, _object({"import-methods": _object({
        "description": _TEXT, "type": {"const": "array"}, "value": {"type": "array", "items": _TEXT}})})),
    ("GET", "/v2/info/stores", 200, _object({"stores": {"type": "array", "items": _STORE}})),
    ("GET", "/v2/schemas/{name}", 200, {"type": "object", "required": ["name", "properties"]}),
)
# Paths of our own, for our agents.
_OURS = ("/blobs/", "/v2/uploads/")


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\{[^}]+\}", "[^/]+", path))


_TABLE = [(method, _pattern(path), status, None if body is None else Schema(body))
          for method, path, status, body in _ANSWERS]


def check(method: str, path: str, _microversion: Version | None, status: int, body: Any,
          _action: str | None = None) -> str | None:
    """Return what is wrong with an answer, or None (see the package's docstring)."""
    if status >= 400:
        return None if body is None or isinstance(body, str) else _problem_of_error(status, body)
    if method == "HEAD" or path.startswith(_OURS) or path.strip("/") in ("", "versions", "v2"):
        return None
    rows = [row for row in _TABLE if row[0] == method and row[1].fullmatch(path)]
    if not rows:
        return "the reference has no such operation"
    for _, _, published, schema in rows:
        if published == status:
            return schema.problem(body) if schema is not None else None
    return f"status {status}, published is {[row[2] for row in rows]}"


def _problem_of_error(status: int, body: Any) -> str | None:
    """The reference's errors in JSON are webob's: message, code (the status line), title."""
    if not isinstance(body, dict) or set(body) != {"message", "code", "title"}:
        return f"an error has message, code and title, not {str(body)[:200]}"
    return None if str(body["code"]).startswith(f"{status} ") else f"the code of an error {status} is {body['code']!r}"
