"""JSON schemas of the identity face's request bodies."""

from __future__ import annotations

from typing import Any

from api import names
from api.bodies import compile_schema
from hostler import errors

# PostgreSQL stores no zero byte; a name needs a visible character.
_TEXT: dict[str, Any] = {"type": "string", "maxLength": 255, "pattern": r"^[^\x00]*$"}
_NAME = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[^\x00]*[^\x00\s][^\x00]*$"}
_ID = {"type": "string", "minLength": 1, "maxLength": 64, "pattern": r"^[a-zA-Z0-9-]+$"}
_NULLABLE_ID = {**_ID, "type": ["string", "null"]}
_DESCRIPTION = {"type": ["string", "null"], "maxLength": 2048, "pattern": r"^[^\x00]*$"}
_PASSWORD = {"type": "string", "minLength": 1, "maxLength": 4096}
_SHORT_NAME = {**_NAME, "maxLength": 64}
_FLAG = {"type": ["boolean", "null"]}
_OPTIONS = {"type": "object", "properties": {"immutable": _FLAG}, "additionalProperties": False}
_METHODS = {"type": "array", "items": {"type": "string", "maxLength": 64}, "minItems": 1, "maxItems": 16,
            "uniqueItems": True}
_USER_OPTIONS = {"type": "object", "additionalProperties": False, "properties": {
    "ignore_change_password_upon_first_use": _FLAG, "ignore_password_expiry": _FLAG,
    "ignore_lockout_failure_attempts": _FLAG, "lock_password": _FLAG, "ignore_user_inactivity": _FLAG,
    "multi_factor_auth_enabled": _FLAG,
    "multi_factor_auth_rules": {"type": ["array", "null"], "items": _METHODS, "maxItems": 16, "uniqueItems": True}}}
_TAG = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": f"^{names.SAFE}[^,/\\x00]*$"}
_TAGS = {"type": "array", "items": _TAG, "maxItems": 80, "uniqueItems": True}


def _object(properties: dict[str, Any], *required: str, **more: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False,
            **more}


def _open(properties: dict[str, Any], *required: str, **more: Any) -> dict[str, Any]:
    """Return the schema of an object to which clients may add attributes."""
    return {**_object(properties, *required, **more), "additionalProperties": True}


def _body(key: str, inner: dict[str, Any]) -> Any:
    return compile_schema(_object({key: inner}, key))


def attributes(body: Any, key: str, own_id: str | None = None) -> dict[str, Any]:
    """Return the object under `key`, with the attributes that the API does not define under `extra`.

    `links` are ignored. Raises Invalid for an `id` other than `own_id`, that of the resource being changed.
    """
    given = body[key].get("id")
    if own_id is not None and given is not None and given.replace("-", "") != own_id.replace("-", ""):
        raise errors.Invalid(reason="Cannot change ID")
    known = KNOWN[key]
    values = {name: value for name, value in body[key].items() if name in known}
    values["extra"] = {name: value for name, value in body[key].items() if name not in known and name != "links"}
    if isinstance(values.get("name"), str):
        values["name"] = values["name"].strip()
    return values if values["extra"] else {name: value for name, value in values.items() if name != "extra"}


_PROJECT = {"name": _SHORT_NAME, "description": _DESCRIPTION, "enabled": {"type": "boolean"}, "domain_id": _NULLABLE_ID,
            "parent_id": _NULLABLE_ID, "is_domain": {"type": "boolean"}, "tags": _TAGS, "options": _OPTIONS}
CREATE_PROJECT = _body("project", _open(_PROJECT, "name"))
UPDATE_PROJECT = _body("project", _open({**_PROJECT, "id": _ID}, minProperties=1))
PROJECT_TAGS = compile_schema(_object({"tags": _TAGS}, "tags"))

_USER = {"name": _NAME, "description": _DESCRIPTION, "enabled": {"type": "boolean"}, "domain_id": _ID,
         "default_project_id": _NULLABLE_ID, "email": {**_TEXT, "type": ["string", "null"]},
         "password": {**_PASSWORD, "type": ["string", "null"]}, "options": _USER_OPTIONS,
         # There is no federation, and no password expires.
         "federated": {"type": "array", "maxItems": 0}, "password_expires_at": {"type": "null"}}
CREATE_USER = _body("user", _open(_USER, "name"))
UPDATE_USER = _body("user", _open({**_USER, "id": _ID}, minProperties=1))
CHANGE_PASSWORD = _body("user", _object({"password": _PASSWORD, "original_password": _PASSWORD},
                                        "password", "original_password"))

_ROLE = {"name": _NAME, "description": _DESCRIPTION, "domain_id": _NULLABLE_ID, "options": _OPTIONS}
CREATE_ROLE = _body("role", _open(_ROLE, "name"))
UPDATE_ROLE = _body("role", _open({**_ROLE, "id": _ID}, minProperties=1))

_GROUP = {"name": _NAME, "description": _DESCRIPTION, "domain_id": _ID}
CREATE_GROUP = _body("group", _open(_GROUP, "name"))
UPDATE_GROUP = _body("group", _open({**_GROUP, "id": _ID}, minProperties=1))

# The published answer has no room for further attributes here.
_DOMAIN = {"name": _SHORT_NAME, "description": _DESCRIPTION, "enabled": {"type": "boolean"}, "tags": _TAGS,
           "options": _OPTIONS}
_EXPLICIT_ID = {"type": "string", "pattern": "^[0-9a-f]{32}$"}
CREATE_DOMAIN = _body("domain", _object({**_DOMAIN, "explicit_domain_id": _EXPLICIT_ID}, "name"))
UPDATE_DOMAIN = _body("domain", _object({**_DOMAIN, "id": _ID}, minProperties=1))

KNOWN: dict[str, frozenset[str]] = {
    "project": frozenset({*_PROJECT, "id"}), "user": frozenset({*_USER, "id"}), "role": frozenset({*_ROLE, "id"}),
    "group": frozenset({*_GROUP, "id"}), "domain": frozenset({*_DOMAIN, "id", "explicit_domain_id"})}

_CREDENTIAL_ROLE = {"type": "object", "properties": {"id": _ID, "name": _NAME},
                    "anyOf": [{"required": ["id"]}, {"required": ["name"]}]}
CREATE_APPLICATION_CREDENTIAL = _body("application_credential", _object({
    "name": _NAME, "description": _DESCRIPTION, "secret": {**_PASSWORD, "type": ["string", "null"]},
    "expires_at": {"type": ["string", "null"], "maxLength": 64},
    "roles": {"type": "array", "items": _CREDENTIAL_ROLE, "maxItems": 100},
    "unrestricted": {"type": ["boolean", "null"]}, "access_rules": {"type": "array"},
    "project_id": _NULLABLE_ID, "user_id": _NULLABLE_ID}, "name"))

# Logging in: unknown members are ignored, as in the published schema.
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
