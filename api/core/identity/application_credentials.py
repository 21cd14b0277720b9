"""Verbs on application credentials: secrets for programs, with some of a user's roles on one project."""

from __future__ import annotations

import datetime as dt
import secrets
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from api.core.identity import roles
from api.core.identity import rows as identity_rows
from api.services import Services
from hostler import clock, errors, ids
from hostler.context import RequestContext
from hostler.db.models import ApplicationCredential, Role, User
from hostler.identity import passwords
from hostler.query.paging import Page, Query
from hostler.query.resources import declare
from hostler.resources import quota

CREDENTIAL = declare(ApplicationCredential)


def list_credentials(services: Services, context: RequestContext, user_id: str,
                     query: Query) -> Page:
    """Return a page of a user's credentials."""
    user = identity_rows.find(services, context, User, user_id, "identity:list_application_credentials",
                              identity_rows.user_target)
    return identity_rows.list_rows(services, CREDENTIAL, query, ApplicationCredential.user_id == user.id)


def get_credential(services: Services, context: RequestContext, user_id: str, credential_id: str,
                   action: str = "identity:get_application_credential") -> ApplicationCredential:
    """Return one credential of the user; raises NotFound and Forbidden."""
    user = identity_rows.find(services, context, User, user_id, action, identity_rows.user_target)
    with services.db.reading() as session:
        row = identity_rows.must_exist(session, ApplicationCredential, "application credential", credential_id)
    if row.user_id != user.id:
        raise identity_rows.not_found("application credential", credential_id)
    return row


def create_credential(services: Services, context: RequestContext, user_id: str,
                      values: dict[str, Any]) -> tuple[ApplicationCredential, str]:
    """Create a credential on the caller's project; returns it with its secret, which is shown this once.

    The roles asked for (default: all the caller has) must be among the caller's. Raises Invalid, Conflict,
    QuotaExceeded, and Forbidden for others than the user and for tokens of a restricted credential.
    """
    user = identity_rows.find(services, context, User, user_id, "identity:create_application_credential",
                              identity_rows.user_target)
    _refuse_restricted(context)
    if context.project_id is None:
        raise errors.Invalid(reason="An application credential needs a token that is scoped to a project.")
    if values.get("access_rules"):
        raise errors.NotImplementedHere(feature="Access rules of application credentials")
    with services.db.reading() as session:
        _check_number(services, session, context, user.id)  # before the secret is hashed, which is slow on purpose
    role_ids = _chosen_roles(services, context, values.get("roles"))
    expires_at = _expiry(values.get("expires_at"))
    secret = values.get("secret") or secrets.token_urlsafe(48)
    hashed = passwords.hash_password(secret, services.conf.identity.password_rounds)

    def work(session: orm.Session) -> ApplicationCredential:
        services.db.lock_row(session, User, User.id == user.id)
        _check_number(services, session, context, user.id)
        credential = ApplicationCredential(
            id=ids.new_id(), name=values["name"], description=values.get("description"), user_id=user.id,
            project_id=context.project_id, secret_hash=hashed, role_ids=role_ids,
            unrestricted=values.get("unrestricted") or False, expires_at=expires_at)
        session.add(credential)
        return credential

    return identity_rows.store(services, work, noun="application credential", name=values["name"]), secret


def delete_credential(services: Services, context: RequestContext, user_id: str, credential_id: str) -> None:
    """Delete a credential; its tokens end with it."""
    _refuse_restricted(context)
    found = get_credential(services, context, user_id, credential_id, "identity:delete_application_credential")
    identity_rows.store(
        services, lambda session: session.execute(
            sa.delete(ApplicationCredential).where(ApplicationCredential.id == found.id)),
        noun="application credential", name=found.name)


def roles_of(services: Services) -> dict[str, Role]:
    """Return every role by its id, for showing credentials."""
    return {role.id: role for role in roles.roles_by_name(services).values()}


def _check_number(services: Services, session: orm.Session, context: RequestContext, user_id: str) -> None:
    count = session.scalar(sa.select(sa.func.count()).select_from(ApplicationCredential)
                           .where(ApplicationCredential.user_id == user_id)) or 0
    quota.check_items(session, services.conf, str(context.project_id), "application_credentials", count + 1, count)


def _refuse_restricted(context: RequestContext) -> None:
    if context.restricted:
        raise errors.Forbidden("A restricted application credential cannot manage application credentials.")


def _chosen_roles(services: Services, context: RequestContext, asked: list[dict[str, str]] | None) -> list[str]:
    by_name = roles.roles_by_name(services)
    held = {name: by_name[name].id for name in context.roles if name in by_name}
    if not asked:
        return sorted(held.values())
    chosen = []
    for item in asked:
        wanted = item.get("id") and ids.canonical(item["id"])
        role_id = next((role_id for name, role_id in held.items() if role_id == wanted or name == item.get("name")),
                       None)
        if role_id is None:
            raise errors.Invalid(reason=f"You do not have the role {item.get('id') or item.get('name')} on this "
                                        "project.")
        chosen.append(role_id)
    return list(dict.fromkeys(chosen))


def _expiry(text: str | None) -> dt.datetime | None:
    if text is None:
        return None
    try:
        moment = clock.parse(text)
    except ValueError:
        raise errors.InvalidField(field="expires_at", value=text, reason="It must be an ISO 8601 time.") from None
    if moment <= clock.utcnow():
        raise errors.InvalidField(field="expires_at", value=text, reason="It must be in the future.")
    return moment
