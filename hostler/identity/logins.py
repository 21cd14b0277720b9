"""The authentication methods: password, token, application credential.

Each takes what the caller sent and returns a `Proven`, or raises Unauthorized without saying what was wrong.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Collection
from typing import Any, Final

import sqlalchemy as sa
from oslo_config import cfg
from sqlalchemy import orm

from hostler import clock, errors
from hostler.db.engine import Database
from hostler.db.models import ApplicationCredential, Domain, Project, User
from hostler.identity import passwords
from hostler.identity.token_state import TokenState
from hostler.identity.tokens import SYSTEM, UNSCOPED, Scope

METHODS: Final = frozenset({"password", "token", "application_credential"})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Named:
    """A user, project or domain as a caller names it: by id, or by name (with its domain's id or name)."""

    id: str | None = None
    name: str | None = None
    domain_id: str | None = None
    domain_name: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScopeRequest:
    """The scope a caller asks for; `kind` as in `tokens.Scope`."""

    kind: str
    named: Named = Named()


@dataclasses.dataclass(frozen=True, kw_only=True)
class LogIn:
    """One request for a token: at least one method, all of which must hold and agree on the user.

    `source` is where it came from (`lockout.source_of`).
    """

    methods: tuple[str, ...]
    user: Named = Named()
    password: str = ""
    token: str = ""
    credential: Named = Named()
    credential_user: Named = Named()
    secret: str = ""
    scope: ScopeRequest | None = None
    source: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Proven:
    """Who the caller is, and the limits that the new token inherits from the proof."""

    user_id: str
    methods: tuple[str, ...]
    expires_at: dt.datetime | None = None
    ancestor_audit_id: str | None = None
    credential: ApplicationCredential | None = None


def prove_password(db: Database, conf: cfg.ConfigOpts, log_in: LogIn) -> Proven:
    """Check name and password; failures count towards the lockout."""
    with db.reading() as session:
        user = _find_user(session, log_in.user)
    if not passwords.check_user(db, conf, user, log_in.password, log_in.source) or user is None:
        raise errors.Unauthorized()
    return Proven(user_id=user.id, methods=("password",))


def prove_credential(db: Database, conf: cfg.ConfigOpts, log_in: LogIn) -> Proven:
    """Check an application credential's secret and its expiry; failures count towards its user's lockout."""
    with db.reading() as session:
        credential = _find_credential(session, log_in)
        user = None if credential is None else session.get(User, credential.user_id)
    stored = None if credential is None else credential.secret_hash
    if not passwords.check_secret(db, conf, user, log_in.secret, stored, log_in.source) or credential is None:
        raise errors.Unauthorized()
    if credential.expires_at is not None and credential.expires_at <= clock.utcnow():
        raise errors.Unauthorized()
    return Proven(user_id=credential.user_id, methods=("application_credential",), expires_at=credential.expires_at,
                  credential=credential)


def prove_token(state: TokenState) -> Proven:
    """Take a valid token as proof; the new token expires when it does.

    Raises Forbidden for a token of an application credential, which is bound to its project.
    """
    token = state.token
    if token.application_credential_id is not None:
        raise errors.Forbidden("A token of an application credential cannot be used to get another token.")
    methods = token.methods if "token" in token.methods else (*token.methods, "token")
    return Proven(user_id=token.user_id, methods=methods, expires_at=token.expires_at,
                  ancestor_audit_id=token.audit_ids[-1])


def methods_suffice(user: User, methods: Collection[str]) -> bool:
    """Return whether the methods that proved who `user` is satisfy one of the user's multi-factor rules.

    A rule counts as far as it names methods this cloud has; one that names none of them does not count.
    """
    options = user.options or {}
    if options.get("multi_factor_auth_enabled") is False:
        return True
    rules = [set(rule) & METHODS for rule in options.get("multi_factor_auth_rules") or ()]
    return not any(rules) or any(rule and rule <= set(methods) for rule in rules)


def find_scope(session: orm.Session, request: ScopeRequest) -> Scope | None:
    """Return the requested scope, or None when it does not exist. The user's roles there are not checked."""
    if request.kind == "system":
        return SYSTEM
    if request.kind == "unscoped":
        return UNSCOPED
    query = _by_name(sa.select(Domain.id if request.kind == "domain" else Project.id),
                     Domain if request.kind == "domain" else Project, request.named)
    found = session.execute(query).scalar_one_or_none() if query is not None else None
    return Scope(request.kind, found) if found is not None else None


def _find_user(session: orm.Session, named: Named) -> User | None:
    query = _by_name(sa.select(User), User, named)
    return session.execute(query).scalar_one_or_none() if query is not None else None


def _find_credential(session: orm.Session, log_in: LogIn) -> ApplicationCredential | None:
    if log_in.credential.id is not None:
        return session.get(ApplicationCredential, log_in.credential.id)
    user = _find_user(session, log_in.credential_user)
    if user is None:
        return None
    return session.execute(sa.select(ApplicationCredential).where(
        ApplicationCredential.user_id == user.id,
        ApplicationCredential.name == log_in.credential.name)).scalar_one_or_none()


def _by_name(query: sa.Select[tuple[Any]], model: type[Domain | Project | User],
             named: Named) -> sa.Select[tuple[Any]] | None:
    """Return `query` narrowed to the row that `named` identifies; None when it identifies none."""
    if named.id is not None:
        return query.where(model.id == named.id)
    if named.name is None:
        return None
    query = query.where(model.name == named.name)
    if model is Domain:
        return query
    if named.domain_id is not None:
        return query.where(model.domain_id == named.domain_id)  # type: ignore[union-attr]
    if named.domain_name is not None:
        return query.join(Domain, Domain.id == model.domain_id).where(  # type: ignore[union-attr]
            Domain.name == named.domain_name)
    return None
