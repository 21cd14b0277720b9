"""Projects, users, roles, … as the identity API prints them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from api.core.identity.assignments import Assignment
from api.openstack.identity.rendering import moment, outside_id
from hostler import clock
from hostler.db.models import ApplicationCredential, Domain, Group, Project, Role, User
from hostler.identity.token_state import TokenState

Body = dict[str, Any]


def project_view(project: Project, root: str) -> Body:
    """Return a project; its parent is its domain, as there is no tree."""
    shown = outside_id(project.id)
    domain_id = outside_id(project.domain_id)
    return {**(project.extra or {}),
            "id": shown, "name": project.name, "description": project.description or "", "enabled": project.enabled,
            "domain_id": domain_id, "parent_id": domain_id, "is_domain": False, "tags": project.tags,
            "options": project.options or {}, "links": {"self": f"{root}/projects/{shown}"}}


def user_view(user: User, root: str) -> Body:
    """Return a user, never the password."""
    shown = outside_id(user.id)
    body = {**(user.extra or {}),
            "id": shown, "name": user.name, "domain_id": outside_id(user.domain_id), "enabled": user.enabled,
            "password_expires_at": None, "options": user.options or {}, "links": {"self": f"{root}/users/{shown}"}}
    optional = {"email": user.email, "description": user.description,
                "default_project_id": outside_id(user.default_project_id)}
    return {**body, **{key: value for key, value in optional.items() if value is not None}}


def group_view(group: Group, root: str) -> Body:
    """Return a group, without its members."""
    shown = outside_id(group.id)
    return {**(group.extra or {}), "id": shown, "name": group.name, "domain_id": outside_id(group.domain_id),
            "description": group.description, "links": {"self": f"{root}/groups/{shown}"}}


def role_view(role: Role, root: str) -> Body:
    """Return a role; none belongs to a domain."""
    shown = outside_id(role.id)
    return {**(role.extra or {}), "id": shown, "name": role.name, "domain_id": None, "description": role.description,
            "options": role.options or {}, "links": {"self": f"{root}/roles/{shown}"}}


def domain_view(domain: Domain, root: str) -> Body:
    """Return a domain."""
    shown = outside_id(domain.id)
    return {"id": shown, "name": domain.name, "description": domain.description or "", "enabled": domain.enabled,
            "tags": domain.tags or [], "options": domain.options or {}, "links": {"self": f"{root}/domains/{shown}"}}


def credential_view(credential: ApplicationCredential, roles: Mapping[str, Role], root: str) -> Body:
    """Return an application credential without its secret; `roles` maps id to role."""
    shown = outside_id(credential.id)
    held = [{"id": outside_id(role.id), "name": role.name, "domain_id": None}
            for role_id in credential.role_ids if (role := roles.get(role_id)) is not None]
    user_id = outside_id(credential.user_id)
    return {"id": shown, "name": credential.name, "description": credential.description,
            "project_id": outside_id(credential.project_id), "user_id": user_id, "system": None, "roles": held,
            "expires_at": clock.iso_micro(credential.expires_at), "unrestricted": credential.unrestricted,
            "links": {"self": f"{root}/users/{user_id}/application_credentials/{shown}"}}


def assignment_view(item: Assignment, root: str, *, names: bool) -> Body:
    """Return a role assignment; `names` adds the names of everything in it."""
    role = {"id": outside_id(item.role.id)}
    kind, holder = ("group", item.group) if item.user is None else ("user", item.user)
    held: Body = {"id": outside_id(holder.id) if holder is not None else None}
    scope: Body
    if item.kind == "system":
        scope, place = {"system": {"all": True}}, "system"
    else:
        owner = item.project if item.kind == "project" else item.domain
        scope = {item.kind: {"id": outside_id(owner.id) if owner is not None else None}}
        place = f"{item.kind}s/{scope[item.kind]['id']}"
        if names and owner is not None:
            scope[item.kind]["name"] = owner.name
    if names:
        role["name"] = item.role.name
        held |= {"name": holder.name if holder is not None else None, "domain": _reference(item.actor_domain)}
        if item.project is not None and item.domain is not None:
            scope["project"]["domain"] = _reference(item.domain)
    assigned = item.prior_role or item.role
    given = f"users/{held['id']}" if item.group is None else f"groups/{outside_id(item.group.id)}"
    links = {"assignment": f"{root}/{place}/{given}/roles/{outside_id(assigned.id)}"}
    if item.user is not None and item.group is not None:
        links["membership"] = f"{root}/{given}/users/{held['id']}"
    if item.prior_role is not None:
        links["prior_role"] = f"{root}/roles/{outside_id(item.prior_role.id)}/implies/{role['id']}"
    return {"role": role, kind: held, "scope": scope, "links": links}


def token_view(state: TokenState, catalog: list[Body] | None, *, admin_project: bool | None = None) -> Body:
    """Return what a token says about its bearer.

    `catalog` None leaves it out, as for a token without a scope; `admin_project` says whether its project is the admin
    project, None that there is none.
    """
    token = state.token
    body: Body = {
        "methods": list(token.methods), "audit_ids": list(token.audit_ids), "issued_at": moment(token.issued_at),
        "expires_at": moment(token.expires_at),
        "user": {"id": outside_id(state.user.id), "name": state.user.name, "domain": _reference(state.user_domain),
                 "password_expires_at": None},
    }
    if state.project is not None and state.domain is not None:
        body["project"] = {**_reference(state.project), "domain": _reference(state.domain)}
        body["is_domain"] = False
        if admin_project is not None:
            body["is_admin_project"] = admin_project
    elif state.domain is not None:
        body["domain"] = _reference(state.domain)
    elif token.scope.kind == "system":
        body["system"] = {"all": True}
    if token.scope.kind != "unscoped":
        body["roles"] = [{"id": outside_id(role_id), "name": name} for name, role_id in sorted(state.roles.items())]
        if catalog is not None:
            body["catalog"] = catalog
    if state.credential is not None:
        body["application_credential"] = {"id": outside_id(state.credential.id), "name": state.credential.name,
                                          "restricted": not state.credential.unrestricted}
    return {"token": body}


def _reference(thing: Project | Domain) -> Body:
    return {"id": outside_id(thing.id), "name": thing.name}
