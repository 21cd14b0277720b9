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

# Definitions have what was sent; times, links and names are the service's.
_TIMES = {"created_at": _TIME, "updated_at": _TIME}
_TYPE = {"enum": ["array", "boolean", "integer", "number", "object", "string"]}
_PROPERTY = _object({"name": _TEXT, "title": _TEXT, "type": _TYPE}, others=True)
_PROPERTIES = {"type": "object", "additionalProperties": _PROPERTY}
_INNER = {"type": "object", "additionalProperties": _object({"title": _TEXT, "type": _TYPE}, others=True)}
_OBJECT = _object({"name": _TEXT, **_TIMES,
                   "self": {"type": "string", "pattern": "^/v2/metadefs/namespaces/[^/]+/objects/[^/]+$"},
                   "schema": {"const": "/v2/schemas/metadefs/object"}},
                  {"description": _TEXT, "required": {"type": "array", "items": _TEXT}, "properties": _INNER})
_TAG = _object({"name": _TEXT, **_TIMES})
_TAGS = _object({"tags": {"type": "array", "items": _object({"name": _TEXT})}})
_ASSOCIATION = _object({"name": _TEXT, **_TIMES}, {"prefix": _TEXT, "properties_target": _TEXT})
_NAMESPACE = _object(
    {"namespace": _TEXT, "visibility": {"enum": ["public", "private"]}, "protected": _FLAG, **_TIMES,
     "self": {"type": "string", "pattern": "^/v2/metadefs/namespaces/[^/]+$"},
     "schema": {"const": "/v2/schemas/metadefs/namespace"}},
    {"display_name": _TEXT, "description": _TEXT, "owner": _TEXT, "properties": _PROPERTIES,
     "resource_type_associations": {"type": "array", "items": _ASSOCIATION},
     "objects": {"type": "array", "items": _OBJECT}, "tags": _TAGS["properties"]["tags"]})
_NS = "/v2/metadefs/namespaces"
_METADEFS: tuple[tuple[str, str, int, Any], ...] = (
    ("GET", "/v2/schemas/metadefs/{name}", 200, {"type": "object", "required": ["name", "properties"]}),
    ("GET", "/v2/metadefs/resource_types", 200, _object({
        "resource_types": {"type": "array", "items": _object({"name": _TEXT, **_TIMES})}})),
    ("GET", _NS, 200, _object({
        "namespaces": {"type": "array", "items": _NAMESPACE}, "first": _TEXT,
        "schema": {"const": "/v2/schemas/metadefs/namespaces"}}, {"next": _TEXT})),
    ("POST", _NS, 201, _NAMESPACE),
    ("GET", f"{_NS}/{{ns}}", 200, _NAMESPACE),
    ("PUT", f"{_NS}/{{ns}}", 200, _NAMESPACE),
    ("DELETE", f"{_NS}/{{ns}}", 204, _ACCEPTED),
    ("GET", f"{_NS}/{{ns}}/properties", 200, _object({"properties": _PROPERTIES})),
    ("GET", f"{_NS}/{{ns}}/objects", 200, _object({
        "objects": {"type": "array", "items": _OBJECT}, "schema": {"const": "/v2/schemas/metadefs/objects"}})),
    ("GET", f"{_NS}/{{ns}}/tags", 200, _TAGS),
    ("POST", f"{_NS}/{{ns}}/tags", 201, _TAGS),
    ("POST", f"{_NS}/{{ns}}/tags/{{name}}", 201, _TAG),
    ("GET", f"{_NS}/{{ns}}/resource_types", 200, _object({
        "resource_type_associations": {"type": "array", "items": _ASSOCIATION}})),
    ("POST", f"{_NS}/{{ns}}/resource_types", 201, _ASSOCIATION),
    ("DELETE", f"{_NS}/{{ns}}/resource_types/{{name}}", 204, _ACCEPTED),
    *(("POST", f"{_NS}/{{ns}}/{kind}", 201, one) for kind, one in (("properties", _PROPERTY), ("objects", _OBJECT))),
    *(("DELETE", f"{_NS}/{{ns}}/{kind}", 204, _ACCEPTED) for kind in ("properties", "objects", "tags")),
    *((method, f"{_NS}/{{ns}}/{kind}/{{name}}", 200, one) for method in ("GET", "PUT")
      for kind, one in (("properties", _PROPERTY), ("objects", _OBJECT), ("tags", _TAG))),
    *(("DELETE", f"{_NS}/{{ns}}/{kind}/{{name}}", 204, _ACCEPTED) for kind in ("properties", "objects", "tags")),
)

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
          for method, path, status, body in (*_ANSWERS, *_METADEFS)]


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
