"""What a token grants: its user, its scope and the roles held there, all as the database has them at this moment."""

from __future__ import annotations

import dataclasses
import datetime as dt

import sqlalchemy as sa
from sqlalchemy import orm

from hostler.db.models import ApplicationCredential, Domain, Project, RevokedToken, User
from hostler.identity import roles
from hostler.identity.tokens import Token


@dataclasses.dataclass(frozen=True, kw_only=True)
class TokenState:
    """A valid token with everything looked up about it. `roles` maps name to id, implied roles included."""

    token: Token
    user: User
    user_domain: Domain
    project: Project | None
    domain: Domain | None  # the project's domain, or the one the token is for
    roles: dict[str, str]
    credential: ApplicationCredential | None


def load(session: orm.Session, token: Token, now: dt.datetime) -> TokenState | None:
    """Return the state of a token, or None when it is not, or no longer, valid."""
    owner = _user_of(session, token)
    if owner is None or token.expires_at <= now or _is_revoked(session, token):
        return None
    project, domain = _scope_of(session, token)
    if token.scope.id is not None and domain is None:
        return None
    credential = None
    held = roles.effective(session, token.user_id, token.scope)
    if token.application_credential_id is not None:
        credential = _credential_of(session, token, now)
        if credential is None:
            return None
        held = limited(credential, held)
    if token.scope.kind != "unscoped" and not held:
        return None
    return TokenState(token=token, user=owner[0], user_domain=owner[1], project=project, domain=domain, roles=held,
                 credential=credential)


def limited(credential: ApplicationCredential, held: dict[str, str]) -> dict[str, str]:
    """Return those of the held roles that the credential was given or that those imply."""
    given = {name: role_id for name, role_id in held.items() if role_id in credential.role_ids}
    allowed = roles.with_implied(given)
    return {name: role_id for name, role_id in held.items() if name in allowed}


def _user_of(session: orm.Session, token: Token) -> tuple[User, Domain] | None:
    row = session.execute(sa.select(User, Domain).join(Domain, Domain.id == User.domain_id)
                          .where(User.id == token.user_id)).tuples().one_or_none()
    if row is None or not row[0].enabled or not row[1].enabled:
        return None
    valid_from = row[0].tokens_valid_from
    return None if valid_from is not None and token.issued_at < valid_from else row


def _is_revoked(session: orm.Session, token: Token) -> bool:
    return session.get(RevokedToken, token.audit_id) is not None


def _scope_of(session: orm.Session, token: Token) -> tuple[Project | None, Domain | None]:
    """Return the enabled project with its domain, or (None, the enabled domain); (None, None) when it is gone."""
    if token.scope.kind == "project":
        row = session.execute(sa.select(Project, Domain).join(Domain, Domain.id == Project.domain_id)
                              .where(Project.id == token.scope.id)).tuples().one_or_none()
        return row if row is not None and row[0].enabled and row[1].enabled else (None, None)
    if token.scope.kind == "domain":
        domain = session.get(Domain, token.scope.id)
        return None, domain if domain is not None and domain.enabled else None
    return None, None


def _credential_of(session: orm.Session, token: Token, now: dt.datetime) -> ApplicationCredential | None:
    credential = session.get(ApplicationCredential, token.application_credential_id)
    if credential is None or credential.user_id != token.user_id or credential.project_id != token.scope.id:
        return None
    return credential if credential.expires_at is None or credential.expires_at > now else None
