"""JSON schemas of the identity face's request bodies."""

from __future__ import annotations

from typing import Any

from api.bodies import compile_schema

# PostgreSQL stores no zero byte; a name needs something that can be seen.
_TEXT: dict[str, Any] = {"type": "string", "maxLength": 255, "pattern": r"^[^\x00]*$"}
_NAME = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[^\x00]*[^\x00\s][^\x00]*$"}
_ID = {"type": "string", "minLength": 1, "maxLength": 64, "pattern": r"^[a-zA-Z0-9-]+$"}
_NULLABLE_ID = {**_ID, "type": ["string", "null"]}
_DESCRIPTION = {"type": ["string", "null"], "maxLength": 2048, "pattern": r"^[^\x00]*$"}
_PASSWORD = {"type": "string", "minLength": 1, "maxLength": 4096}
_OPTIONS = {"type": "object", "maxProperties": 0}
_TAG = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[^,/\x00]*$"}
_TAGS = {"type": "array", "items": _TAG, "maxItems": 80, "uniqueItems": True}


def _object(properties: dict[str, Any], *required: str, **more: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False,
            **more}


def _body(key: str, inner: dict[str, Any]) -> Any:
    return compile_schema(_object({key: inner}, key))


def _change(key: str, properties: dict[str, Any]) -> Any:
    return _body(key, _object(properties, minProperties=1))


_PROJECT = {"name": _NAME, "description": _DESCRIPTION, "enabled": {"type": "boolean"}, "domain_id": _NULLABLE_ID,
            "parent_id": _NULLABLE_ID, "is_domain": {"type": "boolean"}, "tags": _TAGS, "options": _OPTIONS}
CREATE_PROJECT = _body("project", _object(_PROJECT, "name"))
UPDATE_PROJECT = _change("project", {**_PROJECT, "id": _ID})
PROJECT_TAGS = compile_schema(_object({"tags": _TAGS}, "tags"))

_USER = {"name": _NAME, "description": _DESCRIPTION, "enabled": {"type": "boolean"}, "domain_id": _ID,
         "default_project_id": _NULLABLE_ID, "email": {**_TEXT, "type": ["string", "null"]},
         "password": {**_PASSWORD, "type": ["string", "null"]}, "options": _OPTIONS}
CREATE_USER = _body("user", _object(_USER, "name"))
UPDATE_USER = _change("user", {**_USER, "id": _ID})
CHANGE_PASSWORD = _body("user", _object({"password": _PASSWORD, "original_password": _PASSWORD},
                                        "password", "original_password"))

_ROLE = {"name": _NAME, "description": _DESCRIPTION, "domain_id": _NULLABLE_ID, "options": _OPTIONS}
CREATE_ROLE = _body("role", _object(_ROLE, "name"))
UPDATE_ROLE = _change("role", {**_ROLE, "id": _ID})

_DOMAIN = {"name": _NAME, "description": _DESCRIPTION, "enabled": {"type": "boolean"}, "options": _OPTIONS}
CREATE_DOMAIN = _body("domain", _object(_DOMAIN, "name"))
UPDATE_DOMAIN = _change("domain", {**_DOMAIN, "id": _ID})

_CREDENTIAL_ROLE = {"type": "object", "properties": {"id": _ID, "name": _NAME},
                    "anyOf": [{"required": ["id"]}, {"required": ["name"]}]}
CREATE_APPLICATION_CREDENTIAL = _body("application_credential", _object({
    "name": _NAME, "description": _DESCRIPTION, "secret": {**_PASSWORD, "type": ["string", "null"]},
    "expires_at": {"type": ["string", "null"], "maxLength": 64},
    "roles": {"type": "array", "items": _CREDENTIAL_ROLE, "maxItems": 100},
    "unrestricted": {"type": ["boolean", "null"]}, "access_rules": {"type": "array"},
    "project_id": _NULLABLE_ID, "user_id": _NULLABLE_ID}, "name"))

# Logging in: what one may not know the meaning of is let through, as the published schema does.
_REF = {"type": "object", "properties": {"id": _ID, "name": _TEXT}}
_DOMAIN_REF = {**_REF, "anyOf": [{"required": ["id"]}, {"required": ["name"]}]}
_IN_DOMAIN = {"type": "object", "properties": {"id": _ID, "name": _TEXT, "domain": _DOMAIN_REF}}
_NAMED_IN_DOMAIN = {**_IN_DOMAIN, "anyOf": [{"required": ["id"]}, {"required": ["name", "domain"]}]}
_PASSWORD_USER = {**_NAMED_IN_DOMAIN, "properties": {**_IN_DOMAIN["properties"], "password": {  # type: ignore[dict-item]
    "type": "string", "maxLength": 4096}}, "required": ["password"]}
_CREDENTIAL = {"type": "object", "properties": {"id": _ID, "name": _TEXT, "user": _NAMED_IN_DOMAIN,
                                                "secret": {"type": "string", "maxLength": 4096}},
               "required": ["secret"], "anyOf": [{"required": ["id"]}, {"required": ["name", "user"]}]}
_METHOD = {"type": "string", "maxLength": 64}
_IDENTITY = {
    "type": "object", "required": ["methods"],
    "properties": {
        "methods": {"type": "array", "items": _METHOD, "minItems": 1, "maxItems": 5},
        "password": {"type": "object", "properties": {"user": _PASSWORD_USER}, "required": ["user"]},
        "token": {"type": "object", "properties": {"id": {"type": "string", "maxLength": 4096}}, "required": ["id"]},
        "application_credential": _CREDENTIAL,
    },
    "allOf": [{"if": {"properties": {"methods": {"contains": {"const": method}}}}, "then": {"required": [method]}}
              for method in ("password", "token", "application_credential")],
}
_SCOPE = {"anyOf": [
    {"const": "unscoped"},
    {"type": "object", "maxProperties": 1, "additionalProperties": False, "properties": {
        "project": _NAMED_IN_DOMAIN, "domain": _DOMAIN_REF, "unscoped": {"type": "object"},
        "system": {"type": "object", "properties": {"all": {"const": True}}, "required": ["all"]}}},
]}
LOG_IN = compile_schema({
    "type": "object", "required": ["auth"], "properties": {"auth": {
        "type": "object", "required": ["identity"], "properties": {"identity": _IDENTITY, "scope": _SCOPE}}}})
