"""Logging in, and validating, checking and revoking tokens: `/v3/auth/tokens`."""

from __future__ import annotations

import functools
from typing import Any

import falcon

from api import audit, links
from api.openstack.identity import parameters, schemas
from api.openstack.identity.rendering import outside_id
from api.openstack.identity.views import token_view
from api.openstack.resource import Resource
from api.rate_limits import FailedLogins
from hostler import errors, ids
from hostler.identity import admin_project, lockout
from hostler.identity.catalog import catalog
from hostler.identity.logins import LogIn, Named, ScopeRequest
from hostler.identity.token_state import TokenState


class Tokens(Resource):
    """POST logs in; the other methods are about the token in X-Subject-Token."""

    public = ("POST",)

    @functools.cached_property
    def _failed_logins(self) -> FailedLogins:
        return FailedLogins(self.conf)

    def on_post(self, request: falcon.Request, response: falcon.Response) -> None:
        """Issue a token."""
        body = parameters.body(request, self.conf, schemas.LOG_IN)
        source = lockout.source_of(request.remote_addr)
        log_in = _log_in_of(body["auth"], source)
        user = log_in.user if "password" in log_in.methods else log_in.credential_user
        audit.note(request, user=user.id, name=user.name, domain=user.domain_id or user.domain_name,
                   credential=log_in.credential.id or log_in.credential.name)
        with self._failed_logins.counting(source):
            text, state = self.services.identity.log_in(log_in)
        audit.note(request, user=outside_id(state.user.id), name=state.user.name,
                   domain=outside_id(state.user.domain_id))
        response.status = 201
        response.set_header("X-Subject-Token", text)
        response.media = self._view(request, state)

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """Show what the token grants."""
        text, state = self._subject(request, "identity:validate_token")
        response.set_header("X-Subject-Token", text)
        response.media = self._view(request, state)

    def on_head(self, request: falcon.Request, response: falcon.Response) -> None:
        """Check whether the token is valid."""
        text, _ = self._subject(request, "identity:check_token")
        response.set_header("X-Subject-Token", text)

    def on_delete(self, request: falcon.Request, response: falcon.Response) -> None:
        """Revoke the token."""
        _, state = self._subject(request, "identity:revoke_token")
        audit.note(request, target=state.token.audit_id)
        self.services.identity.revoke(state)
        response.status = 204

    def _subject(self, request: falcon.Request, action: str) -> tuple[str, TokenState]:
        text = request.get_header("X-Subject-Token")
        if text is None:
            self.services.policy.check(request.context.caller, action, {"user_id": ""})
            raise errors.NotFound("No token in the request", resource="token", id="")
        try:
            state = self.services.identity.validate(text)
        except errors.Unauthorized:
            raise errors.NotFound("Could not find token.", resource="token", id="") from None
        self.services.policy.check(request.context.caller, action, {"user_id": state.user.id})
        return text, state

    def _view(self, request: falcon.Request, state: TokenState) -> dict[str, Any]:
        conf = self.conf
        shown = None if request.has_param("nocatalog") else catalog(links.base_url(conf, request),
                                                                    conf.identity.region)
        marked = admin_project.is_it(conf, state.project, state.domain) if admin_project.is_configured(conf) else None
        return token_view(state, shown, admin_project=marked)


def _log_in_of(auth: dict[str, Any], source: str) -> LogIn:
    """Return the request; the schema has made sure that each method comes with its part."""
    identity = auth["identity"]
    user = identity.get("password", {}).get("user", {})
    credential = identity.get("application_credential", {})
    return LogIn(
        methods=tuple(dict.fromkeys(identity["methods"])), user=_named(user), password=user.get("password", ""),
        token=identity.get("token", {}).get("id", ""), credential=_named(credential),
        credential_user=_named(credential.get("user", {})), secret=credential.get("secret", ""),
        scope=_scope(auth.get("scope")), source=source)


def _scope(scope: Any) -> ScopeRequest | None:
    if not scope:
        return None
    if scope == "unscoped":
        return ScopeRequest(kind="unscoped")
    kind, value = next(iter(scope.items()))
    return ScopeRequest(kind=kind, named=_named(value) if kind in ("project", "domain") else Named())


def _named(value: dict[str, Any]) -> Named:
    domain = value.get("domain", {})
    return Named(id=_inside(value.get("id")), name=value.get("name"), domain_id=_inside(domain.get("id")),
                 domain_name=domain.get("name"))


def _inside(identifier: str | None) -> str | None:
    return identifier and (ids.canonical(identifier) or identifier)
