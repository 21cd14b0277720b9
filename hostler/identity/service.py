"""The entry point of identity: log in, validate, revoke.

A refusal is always the same `Unauthorized`: it does not say whether the user is unknown, the password wrong, the user
locked out, disabled or without a role. Changes made through this process take effect at once, those of another process
within `api.token_cache_seconds`.
"""

from __future__ import annotations

import datetime as dt
import logging
from typing import Any

import sqlalchemy as sa
from oslo_config import cfg
from sqlalchemy import exc, orm

from hostler import clock, errors
from hostler.context import RequestContext
from hostler.db.engine import Database
from hostler.db.models import RevokedToken, User
from hostler.identity import admin_project, keys, logins, token_state, tokens
from hostler.identity.cache import TokenCache
from hostler.identity.logins import LogIn, Proven
from hostler.identity.token_state import TokenState
from hostler.identity.tokens import UNSCOPED, Scope, Token

LOG = logging.getLogger(__name__)


class Identity:
    """Identity of one process; safe to use from many threads."""

    def __init__(self, db: Database, conf: cfg.ConfigOpts) -> None:
        self._db = db
        self._conf = conf
        self._ring = keys.KeyRing(keys.directory_of(conf))
        self._cache = TokenCache(conf.api.token_cache_seconds)

    def authenticate_token(self, token: str, *, request_id: str) -> RequestContext:
        """Return the context of a request that carries `token`; raises Unauthorized."""
        values = self._cache.get(token)
        if values is None:
            generation = self._cache.generation
            found = self.validate(token)
            values = _context_values(self._conf, found)
            lifetime = found.token.expires_at - clock.utcnow()
            self._cache.put(token, values, lifetime_s=lifetime.total_seconds(), generation=generation)
        return RequestContext(request_id=request_id, **{**values, "roles": list(values["roles"])})

    def validate(self, text: str) -> TokenState:
        """Return the state of a token, always from the database; raises Unauthorized."""
        token = tokens.unseal(self._ring, text)
        if token is None or token.expires_at <= clock.utcnow():
            raise errors.Unauthorized()
        with self._db.reading() as session:
            found = token_state.load(session, token, clock.utcnow())
        if found is None:
            raise errors.Unauthorized()
        return found

    def log_in(self, request: LogIn) -> tuple[str, TokenState]:
        """Return a new token's text and state.

        Raises Unauthorized, and Forbidden for a proof that must not yield another token.
        """
        proven = self._prove(request)
        with self._db.reading() as session:
            found = self._issue(session, proven, request)
        if found is None or not logins.methods_suffice(found.user, proven.methods):
            raise errors.Unauthorized()
        return tokens.seal(self._ring, found.token), found

    def revoke(self, found: TokenState) -> None:
        """End a token before it expires; may be repeated."""
        token = found.token

        def work(session: orm.Session) -> None:
            session.execute(sa.delete(RevokedToken).where(RevokedToken.expires_at < clock.utcnow()))
            if session.get(RevokedToken, token.audit_id) is None:
                session.add(RevokedToken(audit_id=token.audit_id, expires_at=token.expires_at))

        try:
            self._db.write(work)
        except exc.IntegrityError:
            LOG.debug("token %s was revoked by another request at the same time", token.audit_id)
        self.forget()

    def forget(self) -> None:
        """Drop cached tokens; called after every change of users, roles, projects or credentials."""
        self._cache.clear()

    def _prove(self, request: LogIn) -> Proven:
        proofs = []
        for method in request.methods:
            if method == "password":
                proofs.append(logins.prove_password(self._db, self._conf, request))
            elif method == "application_credential":
                proofs.append(logins.prove_credential(self._db, self._conf, request))
            elif method == "token":
                proofs.append(logins.prove_token(self.validate(request.token)))
            else:
                raise errors.Unauthorized("Attempted to authenticate with an unsupported method.")
        return _agreed(proofs)

    def _issue(self, session: orm.Session, proven: Proven, request: LogIn) -> TokenState | None:
        if proven.credential is not None:
            if request.scope is not None:
                raise errors.Unauthorized("An application credential cannot request a scope.")
            return self._try(session, proven, Scope("project", proven.credential.project_id))
        if request.scope is not None:
            scope = logins.find_scope(session, request.scope)
            return self._try(session, proven, scope) if scope is not None else None
        default = session.execute(sa.select(User.default_project_id).where(User.id == proven.user_id)).scalar()
        scoped = self._try(session, proven, Scope("project", default)) if default is not None else None
        return scoped or self._try(session, proven, UNSCOPED)

    def _try(self, session: orm.Session, proven: Proven, scope: Scope) -> TokenState | None:
        now = clock.utcnow()
        # Whole seconds: clients compare the printed expiry with the token's.
        expires_at = (now + dt.timedelta(seconds=self._conf.identity.token_ttl)).replace(microsecond=0)
        if proven.expires_at is not None:
            expires_at = min(expires_at, proven.expires_at)
        ancestor = (proven.ancestor_audit_id,) if proven.ancestor_audit_id is not None else ()
        token = Token(user_id=proven.user_id, scope=scope, methods=proven.methods, issued_at=now,
                      expires_at=expires_at, audit_ids=(tokens.new_audit_id(), *ancestor),
                      application_credential_id=proven.credential.id if proven.credential is not None else None)
        return token_state.load(session, token, now)


def _agreed(proofs: list[Proven]) -> Proven:
    """Merge the proofs into one; raises Unauthorized without proofs, or when they name different users."""
    if not proofs or len({proof.user_id for proof in proofs}) != 1:
        raise errors.Unauthorized()
    methods = tuple(dict.fromkeys(method for proof in proofs for method in proof.methods))
    ends = [proof.expires_at for proof in proofs if proof.expires_at is not None]
    return Proven(
        user_id=proofs[0].user_id, methods=methods, expires_at=min(ends, default=None),
        ancestor_audit_id=next((proof.ancestor_audit_id for proof in proofs if proof.ancestor_audit_id), None),
        credential=next((proof.credential for proof in proofs if proof.credential is not None), None))


def _context_values(conf: cfg.ConfigOpts, found: TokenState) -> dict[str, Any]:
    token, project, domain = found.token, found.project, found.domain
    credential = found.credential
    return {
        "user_id": found.user.id, "user_name": found.user.name, "user_domain_id": found.user.domain_id,
        "user_domain_name": found.user_domain.name,
        "project_id": project.id if project is not None else None,
        "project_name": project.name if project is not None else None,
        "project_domain_id": domain.id if project is not None and domain is not None else None,
        "project_domain_name": domain.name if project is not None and domain is not None else None,
        "domain_id": domain.id if token.scope.kind == "domain" and domain is not None else None,
        "system_scope": "all" if token.scope.kind == "system" else None,
        "roles": sorted(found.roles),
        "is_admin_project": admin_project.counts_as_it(conf, project, domain),
        "token_audit_id": token.audit_id,
        "restricted": credential is not None and not credential.unrestricted,
    }
