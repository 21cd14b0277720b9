"""Logging in, and looking at, checking and revoking tokens: `/v3/auth/tokens`."""

from __future__ import annotations

from typing import Any

import falcon

from api import links
from api.openstack.identity import parameters, schemas
from api.openstack.identity.views import token_view
from api.services import Services
from hostler import errors, ids
from hostler.identity.catalog import catalog
from hostler.identity.logins import LogIn, Named, ScopeWish
from hostler.identity.token_state import Facts


class Tokens:
    """POST logs in; the other methods are about the token in X-Subject-Token."""

    public = ("POST",)

    def __init__(self, services: Services) -> None:
        self._services = services

    def on_post(self, request: falcon.Request, response: falcon.Response) -> None:
        """Issue a token."""
        body = parameters.body(request, self._services.conf, schemas.LOG_IN)
        text, facts = self._services.identity.log_in(_log_in_of(body["auth"]))
        response.status = 201
        response.set_header("X-Subject-Token", text)
        response.media = self._view(request, facts)

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """Show what the token is worth."""
        text, facts = self._subject(request, "identity:validate_token")
        response.set_header("X-Subject-Token", text)
        response.media = self._view(request, facts)

    def on_head(self, request: falcon.Request, response: falcon.Response) -> None:
        """Say whether the token is worth anything."""
        text, _ = self._subject(request, "identity:check_token")
        response.set_header("X-Subject-Token", text)

    def on_delete(self, request: falcon.Request, response: falcon.Response) -> None:
        """Revoke the token."""
        _, facts = self._subject(request, "identity:revoke_token")
        self._services.identity.revoke(facts)
        response.status = 204

    def _subject(self, request: falcon.Request, action: str) -> tuple[str, Facts]:
        text = request.get_header("X-Subject-Token")
        if text is None:
            self._services.policy.check(request.context.caller, action, {"user_id": ""})
            raise errors.NotFound("No token in the request", resource="token", id="")
        try:
            facts = self._services.identity.validate(text)
        except errors.Unauthorized:
            raise errors.NotFound("Could not find token.", resource="token", id="") from None
        self._services.policy.check(request.context.caller, action, {"user_id": facts.user.id})
        return text, facts

    def _view(self, request: falcon.Request, facts: Facts) -> dict[str, Any]:
        if request.has_param("nocatalog"):
            return token_view(facts, None)
        conf = self._services.conf
        return token_view(facts, catalog(links.base_url(conf, request), conf.identity.region))


def _log_in_of(auth: dict[str, Any]) -> LogIn:
    """Return the request; the schema has seen that each method named comes with its part."""
    identity = auth["identity"]
    user = identity.get("password", {}).get("user", {})
    credential = identity.get("application_credential", {})
    return LogIn(
        methods=tuple(dict.fromkeys(identity["methods"])), user=_named(user), password=user.get("password", ""),
        token=identity.get("token", {}).get("id", ""), credential=_named(credential),
        credential_user=_named(credential.get("user", {})), secret=credential.get("secret", ""),
        scope=_scope(auth.get("scope")))


def _scope(wish: Any) -> ScopeWish | None:
    if not wish:
        return None
    if wish == "unscoped":
        return ScopeWish(kind="unscoped")
    kind, value = next(iter(wish.items()))
    return ScopeWish(kind=kind, named=_named(value) if kind in ("project", "domain") else Named())


def _named(value: dict[str, Any]) -> Named:
    domain = value.get("domain", {})
    return Named(id=_inside(value.get("id")), name=value.get("name"), domain_id=_inside(domain.get("id")),
                 domain_name=domain.get("name"))


def _inside(identifier: str | None) -> str | None:
    return identifier and (ids.canonical(identifier) or identifier)
