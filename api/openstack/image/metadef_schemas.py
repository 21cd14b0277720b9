"""The JSON schemas of metadata definitions: of request bodies, and those under /v2/schemas/metadefs.

Source: the Image API's reference, "Metadata definition namespaces" and the following chapters.
"""

from __future__ import annotations

from typing import Any, Final

from api import names
from api.bodies import compile_schema

_TYPES: Final = ["array", "boolean", "integer", "number", "object", "string", None]
# PostgreSQL keeps no NUL; bodies have none.
_NAME: Final = {**names.NAME_SCHEMA, "maxLength": 80}
_NAMESPACE: Final = {**names.NAME_SCHEMA, "maxLength": 80}
_COUNT: Final = {"type": "integer", "minimum": 0}
_TIME: Final = {"type": "string", "format": "date-time", "readOnly": True}
_LINK: Final = {"type": "string", "readOnly": True}
_TEXTS: Final = {"type": "array", "items": {"type": "string"}, "minItems": 1, "uniqueItems": True}


def _object(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


_PROPERTY_FIELDS: Final[dict[str, Any]] = {
    "title": {"type": "string"}, "description": {"type": "string"}, "type": {"type": "string", "enum": _TYPES[:-1]},
    "operators": _TEXTS, "readonly": {"type": "boolean"}, "enum": {"type": "array", "items": {}}, "default": {},
    "minimum": {"type": "number"}, "maximum": {"type": "number"}, "minLength": _COUNT, "maxLength": _COUNT,
    "pattern": {"type": "string", "format": "regex"}, "minItems": _COUNT, "maxItems": _COUNT,
    "uniqueItems": {"type": "boolean"}, "additionalItems": {"type": "boolean"},
    "items": _object({"type": {"type": "string", "enum": _TYPES[:-1]}, "enum": {"type": "array", "items": {}}})}
_INNER_PROPERTY: Final = _object({**_PROPERTY_FIELDS, "name": _NAME}, "title", "type")
_PROPERTY: Final = _object({**_PROPERTY_FIELDS, "name": _NAME}, "name", "title", "type")
_PROPERTIES: Final = {"type": "object", "additionalProperties": _INNER_PROPERTY, "propertyNames": _NAME}
_OBJECT_FIELDS: Final = {"name": _NAME, "description": {"type": "string"}, "required": _TEXTS,
                         "properties": _PROPERTIES}
_OBJECT: Final = _object(_OBJECT_FIELDS, "name")
_TAG: Final = _object({"name": _NAME}, "name")
_RESOURCE_TYPE: Final = _object({"name": _NAME, "prefix": {"type": "string", "maxLength": 80},
                                 "properties_target": {"type": "string", "maxLength": 80}}, "name")
_NAMESPACE_FIELDS: Final = {
    "namespace": _NAMESPACE, "display_name": {"type": ["string", "null"], "maxLength": 80},
    "description": {"type": ["string", "null"], "maxLength": 500}, "visibility": {"enum": ["public", "private"]},
    "protected": {"type": "boolean"}, "owner": {"type": ["string", "null"], "maxLength": 255}}
_CONTENT: Final = {
    "resource_type_associations": {"type": "array", "items": _RESOURCE_TYPE}, "properties": _PROPERTIES,
    "objects": {"type": "array", "items": _OBJECT}, "tags": {"type": "array", "items": _TAG}}

validate_namespace = compile_schema(_object({**_NAMESPACE_FIELDS, **_CONTENT}, "namespace"))
validate_tags = compile_schema(_object({"tags": _CONTENT["tags"]}, "tags"))
# Kind → the check of one definition.
VALIDATE: Final = {"properties": compile_schema(_PROPERTY), "objects": compile_schema(_OBJECT),
                   "tags": compile_schema(_TAG), "resource_types": compile_schema(_RESOURCE_TYPE)}
# Members of answers, which requests must not name: 403, as read-only members of images.
READ_ONLY: Final = ("created_at", "updated_at", "self", "schema")


def _document(title: str, rule: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": title, "required": rule["required"], "additionalProperties": False,
            "properties": {**rule["properties"], "created_at": _TIME, "updated_at": _TIME, **more}}


def _list_of(name: str, item: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "properties": {
        name: {"type": "array", "items": item}, "first": {"type": "string"}, "next": {"type": "string"},
        "schema": {"type": "string"}}}


_LINKS: Final = {"self": _LINK, "schema": _LINK}
_DOCUMENTS: Final = {
    "namespace": ("namespaces", _document("namespace", _object({**_NAMESPACE_FIELDS, **_CONTENT}, "namespace"),
                                          **_LINKS)),
    "resource_type": ("resource_type_associations", _document("resource_type_association", _RESOURCE_TYPE)),
    "property": ("properties", _document("property", _PROPERTY)),
    "object": ("objects", _document("object", _OBJECT, **_LINKS)),
    "tag": ("tags", _document("tag", _TAG))}
# The last part of a path below /v2/schemas/metadefs → the document.
DOCUMENTS: Final[dict[str, dict[str, Any]]] = {
    **{name: one for name, (_, one) in _DOCUMENTS.items()},
    **{("resource_types" if many == "resource_type_associations" else many): _list_of(many, one)
       for many, one in _DOCUMENTS.values()}}
