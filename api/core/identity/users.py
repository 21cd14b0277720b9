"""Verbs on users and their passwords."""

from __future__ import annotations

from typing import Any

from sqlalchemy import orm

from api.core.identity import rows as identity_rows
from api.services import Services
from hostler import clock, errors, ids
from hostler.context import RequestContext
from hostler.db.models import Base, User
from hostler.identity import lockout, passwords, removal
from hostler.query.paging import Page, Query
from hostler.query.resources import declare

USER = declare(User)
# Failures of a user who holds a token do not lock out anybody who logs in.
_WITH_TOKEN = "token"


def list_users(services: Services, context: RequestContext, query: Query) -> Page:
    """Return a page of all users, or of those in the token's domain."""
    services.policy.check(context, "identity:list_users", identity_rows.list_target(context))
    return identity_rows.list_rows(services, USER, query, *identity_rows.in_domain(context, User.domain_id))


def get_user(services: Services, context: RequestContext, user_id: str, action: str = "identity:get_user") -> User:
    """Return one user; raises NotFound and Forbidden."""
    return identity_rows.find(services, context, User, user_id, action, identity_rows.user_target)


def create_user(services: Services, context: RequestContext, values: dict[str, Any]) -> User:
    """Create a user from name, domain_id, default_project_id, description, email, enabled, password, options, extra.

    Without a password the user cannot log in. Raises Invalid, Conflict, and NotFound for an unknown domain.
    """
    services.policy.check(context, "identity:create_user", identity_rows.new_target(context, values.get("domain_id")))
    # Hashing takes a while on purpose: not inside the transaction.
    hashed = _hash(services, values.get("password"))

    def work(session: orm.Session) -> User:
        domain = identity_rows.domain_for(session, context, values.get("domain_id"))
        user = User(id=ids.new_id(), name=values["name"], domain_id=domain.id, description=values.get("description"),
                    email=values.get("email"), enabled=values.get("enabled", True), password_hash=hashed,
                    password_changed_at=clock.utcnow() if hashed else None,
                    default_project_id=_project_id(values.get("default_project_id")))
        identity_rows.set_attributes(user, values)
        session.add(user)
        return user

    return identity_rows.store(services, work, noun="user", name=values["name"])


def update_user(services: Services, context: RequestContext, user_id: str, changes: dict[str, Any]) -> User:
    """Change a user; a new password and disabling end all the user's tokens. Raises Invalid and Conflict."""
    found = get_user(services, context, user_id, "identity:update_user")
    hashed = _hash(services, changes.get("password"))

    def work(session: orm.Session) -> User:
        user = identity_rows.must_exist(session, User, "user", found.id)
        asked = changes.get("domain_id")
        if asked is not None and (ids.canonical(asked) or asked) != user.domain_id:
            raise errors.Invalid(reason="The domain of a user cannot be changed.")
        identity_rows.set_attributes(user, changes, "name", "description", "email", "enabled")
        if "default_project_id" in changes:
            user.default_project_id = _project_id(changes["default_project_id"])
        if "password" in changes:
            _set_password(session, user, hashed)
        if changes.get("enabled") is False:
            user.tokens_valid_from = clock.utcnow()
        return user

    return identity_rows.store(services, work, noun="user", name=str(changes.get("name", found.name)))


def change_password(services: Services, context: RequestContext, user_id: str, *, old: str, new: str) -> None:
    """Change a password, knowing the old one; ends all the user's tokens.

    Raises Unauthorized for a wrong one, and Invalid for a user with the option `lock_password`.
    """
    user = get_user(services, context, user_id, "identity:change_password")
    if not passwords.check_user(services.db, services.conf, user, old, _WITH_TOKEN):
        raise errors.Unauthorized()
    if (user.options or {}).get("lock_password"):
        raise errors.Invalid(reason="You cannot change your password at this time due to password policy disallowing "
                                    "password changes. Please contact your administrator to reset your password.")
    hashed = _hash(services, new)

    def work(session: orm.Session) -> None:
        _set_password(session, identity_rows.must_exist(session, User, "user", user.id), hashed)

    identity_rows.store(services, work, noun="user", name=user.name)


def delete_user(services: Services, context: RequestContext, user_id: str) -> None:
    """Delete a user with roles, key pairs and application credentials; what they made in projects stays."""
    found = get_user(services, context, user_id, "identity:delete_user")

    def work(session: orm.Session) -> None:
        identity_rows.must_exist(session, User, "user", found.id)
        removal.remove_rows(session, Base.metadata.tables["users"], [found.id])

    identity_rows.store(services, work, noun="user", name=found.name)


def _hash(services: Services, password: str | None) -> str | None:
    return passwords.hash_password(password, services.conf.identity.password_rounds) if password else None


def _set_password(session: orm.Session, user: User, hashed: str | None) -> None:
    user.password_hash = hashed
    user.password_changed_at = user.tokens_valid_from = clock.utcnow()
    lockout.forget(session, user.id)


def _project_id(asked: str | None) -> str | None:
    """Return the id of a default project, which need not exist: it is passed over when it does not."""
    if asked is None:
        return None
    inside = ids.canonical(asked)
    if inside is None:
        raise errors.InvalidField(field="default_project_id", value=asked, reason="It is not the id of a project.")
    return inside
