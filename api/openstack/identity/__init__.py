"""The identity API, version 3, below `/identity`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from api.face import Face
from api.openstack.identity import (
    application_credentials,
    assignments,
    domains,
    groups,
    not_built,
    nouns,
    projects,
    rendering,
    roles,
    token_reach,
    tokens,
    users,
    versions,
)
from api.openstack.identity import services as catalog_services
from api.services import Services


def _routes(services: Services) -> Iterable[tuple[str, Any]]:
    yield "", versions.Versions(services)
    yield "/v3", versions.Version(services)
    for path, resource in (*_access(services), *_things(services), *_grants(services), *not_built.routes(services)):
        yield "/v3" + path, resource


def _access(services: Services) -> Iterable[tuple[str, Any]]:
    yield "/auth/tokens", tokens.Tokens(services)
    yield "/auth/projects", token_reach.ReachableProjects(services)
    yield "/auth/domains", token_reach.ReachableDomains(services)
    yield "/auth/system", token_reach.ReachableSystem(services)
    yield "/auth/catalog", token_reach.ReachableCatalog(services)
    for path, resource in (("/services", catalog_services.CatalogServices(services)),
                           ("/endpoints", catalog_services.Endpoints(services)),
                           ("/regions", catalog_services.Regions(services))):
        yield path, resource
        yield path + "/{item_id}", resource


def _things(services: Services) -> Iterable[tuple[str, Any]]:
    for noun in (projects.PROJECT, users.USER, groups.GROUP, roles.ROLE, domains.DOMAIN):
        yield f"/{noun.name}s", nouns.Collection(services, noun)
        item = projects.OneProject if noun is projects.PROJECT else nouns.Item
        yield f"/{noun.name}s/{{{noun.name}_id}}", item(services, noun)
    yield "/projects/{project_id}/tags", projects.ProjectTags(services)
    yield "/projects/{project_id}/tags/{tag}", projects.OneProjectTag(services)
    yield "/users/{user_id}/password", users.UserPassword(services)
    yield "/users/{user_id}/projects", projects.UserProjects(services, projects.PROJECT)
    yield "/users/{user_id}/groups", groups.UserGroups(services, groups.GROUP)
    yield "/groups/{group_id}/users", groups.Members(services, users.USER)
    yield "/groups/{group_id}/users/{user_id}", groups.OneMember(services)
    yield ("/users/{user_id}/application_credentials",
           application_credentials.ApplicationCredentials(services))
    yield ("/users/{user_id}/application_credentials/{credential_id}",
           application_credentials.OneApplicationCredential(services))
    yield "/roles/{role_id}/implies", roles.Implied(services)
    yield "/roles/{role_id}/implies/{implied_id}", roles.OneImplied(services)
    yield "/role_inferences", roles.RoleInferences(services)


def _grants(services: Services) -> Iterable[tuple[str, Any]]:
    yield "/role_assignments", assignments.RoleAssignments(services)
    for kind, place in (("project", "/projects/{project_id}"), ("domain", "/domains/{domain_id}"),
                        ("system", "/system")):
        for holder in ("user", "group"):
            roles_of = f"{place}/{holder}s/{{{holder}_id}}/roles"
            yield roles_of, assignments.Grants(services, kind, holder)
            yield roles_of + "/{role_id}", assignments.OneGrant(services, kind, holder)


FACE = Face(prefix="/identity", routes=_routes, render_error=rendering.render_error, finish=rendering.finish,
            any_scope=True, heads=True)
