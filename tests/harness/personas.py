"""Everybody who may hold a token, as the tests of rights see them: see `NAMES`.

There are two domains besides the default one, `tenants` and `strangers`. The project `house` and the users who act lie
in `tenants`; the project `shop` and the user `victim` lie in `strangers`.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Final

from tests.harness.identity_rest import PASSWORD, IdentityApi

# Persona → role and where it is held; the cloud's administrator has no line.
_HELD: Final = {
    "reader": ("reader", "project"), "member": ("member", "project"), "manager": ("manager", "project"),
    "project admin": ("admin", "project"), "service": ("service", "project"),
    "domain reader": ("reader", "domain"), "domain manager": ("manager", "domain"), "domain admin": ("admin", "domain"),
    "system reader": ("reader", "system"), "system admin": ("admin", "system")}
CLOUD_ADMIN: Final = "cloud admin"
UNSCOPED: Final = "unscoped"
NAMES: Final = (*_HELD, UNSCOPED, CLOUD_ADMIN)


@dataclasses.dataclass
class Personas:
    """Their tokens by name, and the ids of what they act on."""

    api: IdentityApi
    tokens: dict[str, str]
    ids: dict[str, str]

    def call(self, name: str, method: str, path: str, body: Any = None) -> int:
        """Send a request below /identity/v3 as one of them; returns the status."""
        return self.api.call(method, path.format(**self.ids), body, token=self.tokens[name]).status_code


def make(api: IdentityApi) -> Personas:
    """Create everybody."""
    ids = {"tenants": _make(api, "domain", name="tenants"), "strangers": _make(api, "domain", name="strangers")}
    ids["house"] = _make(api, "project", name="house", domain_id=ids["tenants"])
    ids["shop"] = _make(api, "project", name="shop", domain_id=ids["strangers"])
    ids["admin_project"], ids["admin"] = api.made.admin_project_id, api.made.admin_user_id
    tokens = {CLOUD_ADMIN: api.admin}
    for name, (role, kind) in _HELD.items():
        user = ids[name] = _make(api, "user", name=name, password=PASSWORD, domain_id=ids["tenants"])
        place = {"project": f"/projects/{ids['house']}", "domain": f"/domains/{ids['tenants']}", "system": "/system"}
        assert api.call("PUT", f"{place[kind]}/users/{user}/roles/{api.role(role)}").status_code == 204
        scope = {"system": {"all": True}} if kind == "system" else {
            kind: {"id": ids["house" if kind == "project" else "tenants"]}}
        tokens[name] = _log_in(api, user, scope)
    ids["victim"] = _make(api, "user", name="victim", password=PASSWORD, domain_id=ids["strangers"])
    _make_groups(api, ids)
    tokens[UNSCOPED] = _log_in(api, ids["member"], "unscoped")
    ids |= {f"role_{name}": api.role(name) for name in ("reader", "member", "manager", "admin", "service")}
    return Personas(api, tokens, ids)


def _make_groups(api: IdentityApi, ids: dict[str, str]) -> None:
    """Create `crew` with its `sailor`, `powerful` whose member is an administrator, and one of the strangers."""
    ids["crew"] = _make(api, "group", name="crew", domain_id=ids["tenants"])
    ids["powerful"] = _make(api, "group", name="powerful", domain_id=ids["tenants"])
    ids["strange_group"] = _make(api, "group", name="strange", domain_id=ids["strangers"])
    for group, name in (("crew", "sailor"), ("powerful", "powerful member")):
        ids[name] = _make(api, "user", name=name, password=PASSWORD, domain_id=ids["tenants"])
        assert api.call("PUT", f"/groups/{ids[group]}/users/{ids[name]}").status_code == 204
    path = f"/projects/{ids['house']}/groups/{ids['powerful']}/roles/{api.role('admin')}"
    assert api.call("PUT", path).status_code == 204


def _make(api: IdentityApi, noun: str, **values: Any) -> str:
    answer = api.call("POST", f"/{noun}s", {noun: values})
    assert answer.status_code == 201, answer.text
    return str(answer.json[noun]["id"])


def _log_in(api: IdentityApi, user_id: str, scope: Any) -> str:
    answer = api.call("POST", "/auth/tokens", {"auth": {
        "identity": {"methods": ["password"], "password": {"user": {"id": user_id, "password": PASSWORD}}},
        "scope": scope}}, token="")
    assert answer.status_code == 201, answer.text
    return str(answer.headers["X-Subject-Token"])
