"""The identity API's answers, from the facts in the reference's own response schemas (`keystone/*/schema.py`).

Projects, users and roles may have members of their clients' own; everything else may not.
"""

from __future__ import annotations

import re
from typing import Any

from tests.harness.schemas.validation import Schema

Version = tuple[int, int]

_TEXT = {"type": "string"}
_TEXT_OR_NULL = {"type": ["string", "null"]}
_FLAG = {"type": "boolean"}
_URI = {"type": "string", "format": "uri"}
_ID = {"type": "string", "pattern": "^[0-9a-f]{32}$"}
_DOMAIN_ID = {"type": "string", "pattern": "^(default|[0-9a-f]{32})$"}
_ID_OR_NULL = {"anyOf": [_ID, {"type": "null"}]}
_MOMENT = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$"}
_NOTHING = {"type": ["string", "null"], "maxLength": 0}


def _list(items: Any) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _object(required: dict[str, Any], optional: dict[str, Any] | None = None, *,
            others: bool = False) -> dict[str, Any]:
    return {"type": "object", "properties": {**required, **(optional or {})}, "required": list(required),
            "additionalProperties": others}


def _name(length: int) -> dict[str, Any]:
    return {"type": "string", "minLength": 1, "maxLength": length, "pattern": r"\S"}


def _options(**properties: Any) -> dict[str, Any]:
    return _object({}, properties)


_SELF = _object({"self": _URI})
_PAGES = _object({"self": _URI}, {"next": {"type": ["string", "null"], "format": "uri"},
                                  "previous": {"type": ["string", "null"], "format": "uri"}})
_IMMUTABLE = _options(immutable=_FLAG)
_USER_OPTIONS = _options(
    ignore_change_password_upon_first_use=_FLAG, ignore_password_expiry=_FLAG, ignore_lockout_failure_attempts=_FLAG,
    lock_password=_FLAG, ignore_user_inactivity=_FLAG, multi_factor_auth_enabled=_FLAG,
    multi_factor_auth_rules=_list(_list(_TEXT)))
_PROJECT = _object({
    "id": _ID, "name": _name(64), "description": _TEXT_OR_NULL, "enabled": _FLAG, "domain_id": _DOMAIN_ID,
    "parent_id": _DOMAIN_ID, "is_domain": {"const": False}, "tags": _list(_TEXT), "options": _IMMUTABLE,
    "links": _SELF}, others=True)
_USER = _object({
    "id": _ID, "name": _name(255), "domain_id": _DOMAIN_ID, "enabled": _FLAG, "password_expires_at": _TEXT_OR_NULL,
    "options": _USER_OPTIONS, "links": _SELF,
}, {"default_project_id": _ID_OR_NULL, "description": _TEXT_OR_NULL, "email": _TEXT_OR_NULL, "password": False,
    "federated": _list({"type": "object"})}, others=True)
_ROLE = _object({"id": _ID, "name": _name(255), "description": _TEXT_OR_NULL, "domain_id": _ID_OR_NULL,
                 "options": _IMMUTABLE, "links": _SELF}, others=True)
_GROUP = _object({"id": _ID, "name": _name(255), "description": _TEXT_OR_NULL, "domain_id": _DOMAIN_ID, "links": _SELF},
                 others=True)
_DOMAIN = _object({"id": _DOMAIN_ID, "name": _name(64), "description": _TEXT_OR_NULL, "enabled": _FLAG,
                   "tags": _list(_TEXT), "options": _IMMUTABLE, "links": _SELF})
_SHORT_ROLE = _object({"id": _ID, "name": _name(255), "links": _SELF})
_CREDENTIAL = _object({
    "id": _ID, "name": _name(255), "description": _TEXT_OR_NULL, "expires_at": _TEXT_OR_NULL, "project_id": _ID,
    "roles": _list(_object({"id": _ID, "name": _name(255), "domain_id": _ID_OR_NULL},
                           {"description": _TEXT_OR_NULL, "options": {"type": ["object", "null"]}})),
    "unrestricted": {"type": ["boolean", "null"]}, "user_id": _ID, "links": _SELF,
}, {"access_rules": _list({"type": "object"}), "system": _TEXT_OR_NULL})
_NEW_CREDENTIAL = {**_CREDENTIAL, "properties": {**_CREDENTIAL["properties"], "secret": _TEXT},
                   "required": [*_CREDENTIAL["required"], "secret"]}
_DOMAIN_REF = _object({"id": _DOMAIN_ID}, {"name": _TEXT})
_PROJECT_REF = _object({"id": _ID}, {"name": _TEXT, "domain": _DOMAIN_REF})
_HOLDER = _object({"id": _ID}, {"name": _TEXT, "domain": _DOMAIN_REF})
_ASSIGNMENT = {**_object({
    "links": _object({"assignment": _URI}, {"membership": _URI, "prior_role": _URI}),
    "role": _object({"id": _ID}, {"name": _TEXT, "domain": _DOMAIN_REF}),
    "scope": {"oneOf": [_object({"project": _PROJECT_REF}), _object({"domain": _DOMAIN_REF}),
                        _object({"system": _object({"all": {"const": True}})})]},
}, {"user": _HOLDER, "group": _HOLDER}), "oneOf": [{"required": ["user"]}, {"required": ["group"]}]}
_INFERENCE = _object({"prior_role": _SHORT_ROLE, "implies": _list(_SHORT_ROLE)})
_ENDPOINT = {"id": _ID, "interface": {"enum": ["public", "internal", "admin"]}, "region": _TEXT_OR_NULL,
             "region_id": _TEXT_OR_NULL, "url": _URI}
_CATALOG = _list(_object({"id": _ID, "type": _TEXT, "name": _TEXT, "endpoints": _list(_object(_ENDPOINT))}))
_NAMED_DOMAIN = _object({"id": _DOMAIN_ID, "name": _TEXT})
_TOKEN = {
    **_object({
        "methods": {**_list(_TEXT), "minItems": 1}, "audit_ids": {**_list(_TEXT), "minItems": 1, "maxItems": 2},
        "issued_at": _MOMENT, "expires_at": _MOMENT,
        "user": _object({"id": _ID, "name": _TEXT, "domain": _NAMED_DOMAIN, "password_expires_at": _TEXT_OR_NULL}),
    }, {"project": _object({"id": _ID, "name": _TEXT, "domain": _NAMED_DOMAIN}), "domain": _NAMED_DOMAIN,
        "system": _object({"all": {"const": True}}), "is_domain": _FLAG, "is_admin_project": _FLAG,
        "roles": {**_list(_object({"id": _ID, "name": _TEXT})), "minItems": 1}, "catalog": _CATALOG,
        "application_credential": _object({"id": _ID, "name": _TEXT, "restricted": _FLAG},
                                          {"access_rules": _list({"type": "object"})})}),
    "dependentRequired": {"project": ["roles", "is_domain"], "domain": ["roles"], "system": ["roles"]},
}
_SERVICE = _object({"id": _ID, "name": _TEXT, "type": _TEXT, "enabled": _FLAG, "links": _SELF}, {"description": _TEXT})
_FULL_ENDPOINT = _object({**_ENDPOINT, "service_id": _ID, "enabled": _FLAG, "links": _SELF}, {"name": _TEXT})
_REGION = _object({"id": _TEXT, "description": _TEXT_OR_NULL, "parent_region_id": _TEXT_OR_NULL, "links": _SELF})
_TAGS = _object({"tags": _list(_TEXT), "links": _PAGES})
_VERSION = _object({"id": _TEXT, "status": _TEXT, "updated": _TEXT, "links": _list({"type": "object"}),
                    "media-types": _list({"type": "object"})})


def _collection(key: str, item: Any) -> dict[str, Any]:
    return _object({key: _list(item), "links": _PAGES}, {"truncated": _FLAG})


def _noun(key: str, item: dict[str, Any]) -> list[tuple[str, str, int, Any]]:
    path, one = f"/{key}s", _object({key: item})
    return [("GET", path, 200, _collection(f"{key}s", item)), ("POST", path, 201, one),
            ("GET", path + "/{id}", 200, one), ("PATCH", path + "/{id}", 200, one),
            ("DELETE", path + "/{id}", 204, _NOTHING)]


def _empty(path: str, key: str) -> tuple[str, str, int, Any]:
    return "GET", path, 200, _object({key: {"type": "array", "maxItems": 0}, "links": _PAGES}, {"truncated": _FLAG})


_CREDENTIALS = "/users/{id}/application_credentials"
# (method, path below /v3, status) → the body.
_ANSWERS: tuple[tuple[str, str, int, Any], ...] = (
    *(answer for noun in (("project", _PROJECT), ("user", _USER), ("group", _GROUP), ("role", _ROLE),
                          ("domain", _DOMAIN))
      for answer in _noun(*noun)),
    ("GET", "", 200, _object({"version": _VERSION})),
    ("GET", "/projects/{id}/tags", 200, _TAGS), ("PUT", "/projects/{id}/tags", 200, _TAGS),
    ("DELETE", "/projects/{id}/tags", 204, _NOTHING), ("GET", "/projects/{id}/tags/{tag}", 204, _NOTHING),
    ("PUT", "/projects/{id}/tags/{tag}", 201, _NOTHING), ("DELETE", "/projects/{id}/tags/{tag}", 204, _NOTHING),
    ("POST", "/users/{id}/password", 204, _NOTHING),
    ("GET", "/users/{id}/projects", 200, _collection("projects", _PROJECT)),
    ("GET", "/users/{id}/groups", 200, _collection("groups", _GROUP)),
    ("GET", "/groups/{id}/users", 200, _collection("users", _USER)),
    *((method, "/groups/{id}/users/{id}", 204, _NOTHING) for method in ("GET", "PUT", "DELETE")),
    ("GET", _CREDENTIALS, 200, _collection("application_credentials", _CREDENTIAL)),
    ("POST", _CREDENTIALS, 201, _object({"application_credential": _NEW_CREDENTIAL})),
    ("GET", _CREDENTIALS + "/{id}", 200, _object({"application_credential": _CREDENTIAL})),
    ("DELETE", _CREDENTIALS + "/{id}", 204, _NOTHING),
    ("GET", "/roles/{id}/implies", 200, _object({"role_inference": _INFERENCE}, {"links": _PAGES})),
    ("GET", "/roles/{id}/implies/{id}", 200, _object({"role_inference": _object(
        {"prior_role": _SHORT_ROLE, "implies": _SHORT_ROLE})}, {"links": _PAGES})),
    ("GET", "/role_inferences", 200, _object({"role_inferences": _list(_INFERENCE), "links": _PAGES})),
    ("GET", "/role_assignments", 200, _collection("role_assignments", _ASSIGNMENT)),
    *((method, f"{place}/{holders}/{{id}}/roles{rest}", status, body)
      for place in ("/projects/{id}", "/domains/{id}", "/system") for holders in ("users", "groups")
      for method, rest, status, body in (
          ("GET", "", 200, _collection("roles", _ROLE)), ("PUT", "/{id}", 204, _NOTHING),
          ("GET", "/{id}", 204, _NOTHING), ("DELETE", "/{id}", 204, _NOTHING))),
    ("POST", "/auth/tokens", 201, _object({"token": _TOKEN})), ("GET", "/auth/tokens", 200, _object({"token": _TOKEN})),
    ("DELETE", "/auth/tokens", 204, _NOTHING), ("GET", "/auth/projects", 200, _collection("projects", _PROJECT)),
    ("GET", "/auth/domains", 200, _collection("domains", _DOMAIN)),
    ("GET", "/auth/system", 200, _object({"system": _list(_object({"all": {"const": True}})), "links": _PAGES})),
    ("GET", "/auth/catalog", 200, _object({"catalog": _CATALOG, "links": _PAGES})),
    ("GET", "/services", 200, _collection("services", _SERVICE)),
    ("GET", "/services/{id}", 200, _object({"service": _SERVICE})),
    ("GET", "/endpoints", 200, _collection("endpoints", _FULL_ENDPOINT)),
    ("GET", "/endpoints/{id}", 200, _object({"endpoint": _FULL_ENDPOINT})),
    ("GET", "/regions", 200, _collection("regions", _REGION)),
    ("GET", "/regions/{id}", 200, _object({"region": _REGION})),
    ("GET", "/limits/model", 200, _object({"model": _object({"name": _TEXT, "description": _TEXT})})),
    _empty("/credentials", "credentials"), _empty("/policies", "policies"),
    _empty("/limits", "limits"), _empty("/registered_limits", "registered_limits"),
    _empty("/OS-TRUST/trusts", "trusts"), _empty("/OS-OAUTH1/consumers", "consumers"),
    _empty("/OS-FEDERATION/identity_providers", "identity_providers"), _empty("/OS-FEDERATION/mappings", "mappings"),
    _empty("/OS-FEDERATION/service_providers", "service_providers"),
    _empty("/OS-EP-FILTER/endpoint_groups", "endpoint_groups"),
    _empty("/users/{id}/access_rules", "access_rules"), _empty("/users/{id}/credentials/OS-EC2", "credentials"),
)
_VERSIONS = Schema(_object({"versions": _object({"values": _list(_VERSION)})}))
_ERROR = Schema(_object({"error": _object({"code": {"type": "integer"}, "message": {"type": "string", "minLength": 1},
                                           "title": {"type": "string", "minLength": 1}})}))


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile("/v3" + re.sub(r"\{[^}]+\}", "[^/]+", path))


_TABLE = [(method, _pattern(path), status, Schema(body)) for method, path, status, body in _ANSWERS]


def check(method: str, path: str, _microversion: Version | None, status: int, body: Any,
          _action: str | None = None) -> str | None:
    """Return what is wrong with an answer, or None (see the package's docstring)."""
    if method == "HEAD":
        return None
    if status >= 400:
        return _ERROR.problem(body) or (None if body["error"]["code"] == status else "the error's code is another one")
    if path in ("", "/"):
        return _VERSIONS.problem(body) if status == 300 else "the versions are answered with 300"
    rows = [row for row in _TABLE if row[0] == method and row[1].fullmatch(path)]
    if not rows:
        return "the reference has no such operation"
    for _, _, published, schema in rows:
        if published == status:
            return schema.problem(body)
    return f"status {status}, published is {[row[2] for row in rows]}"
