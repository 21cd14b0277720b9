"""Giving, taking, checking and listing roles: `/v3/{projects,domains,system}/…/{users,groups}/…/roles`, and
`/v3/role_assignments`.
"""

from __future__ import annotations

import falcon

from api.core.identity import assignments, grants
from api.core.identity.assignments import AssignmentFilter
from api.core.identity.grants import Actor, Target
from api.openstack.identity import parameters
from api.openstack.identity.rendering import collection, root
from api.openstack.identity.views import assignment_view, role_view
from api.openstack.resource import Resource
from api.services import Services
from hostler import errors


class _Grants(Resource):
    """Roles on one kind of target, of users or of groups."""

    def __init__(self, services: Services, kind: str, holder: str) -> None:
        super().__init__(services)
        self._kind = kind
        self._holder = holder

    def _ends(self, place: dict[str, str]) -> tuple[Target, Actor]:
        """Return the target and the holder that a path names."""
        target = Target("system") if self._kind == "system" else Target(self._kind, place[f"{self._kind}_id"])
        return target, Actor(self._holder, place[f"{self._holder}_id"])


class Grants(_Grants):
    """All roles of a user or group in one place."""

    def on_get(self, request: falcon.Request, response: falcon.Response, **place: str) -> None:
        """List them."""
        conf = self.conf
        found = grants.list_grants(self.services, request.context.caller, *self._ends(place))
        response.media = collection(conf, request, "roles", [role_view(role, root(conf, request)) for role in found])


class OneGrant(_Grants):
    """One role of a user or group in one place."""

    def on_put(self, request: falcon.Request, response: falcon.Response, role_id: str, **place: str) -> None:
        """Give it."""
        grants.grant(self.services, request.context.caller, *self._ends(place), role_id)
        response.status = 204

    def on_get(self, request: falcon.Request, response: falcon.Response, role_id: str, **place: str) -> None:
        """Say whether it was given."""
        grants.check_grant(self.services, request.context.caller, *self._ends(place), role_id)
        response.status = 204

    def on_delete(self, request: falcon.Request, response: falcon.Response, role_id: str, **place: str) -> None:
        """Take it."""
        grants.revoke(self.services, request.context.caller, *self._ends(place), role_id)
        response.status = 204


class RoleAssignments(Resource):
    """All assignments."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List them. There are no inherited roles."""
        conf = self.conf
        target = _scope(request)
        if parameters.flag(request, "include_subtree") and (target is None or target.kind != "project"):
            raise errors.Invalid(reason="scope.project.id must be specified if include_subtree is also specified")
        wanted = AssignmentFilter(user_id=parameters.identifier(request, "user.id"),
                                  group_id=parameters.identifier(request, "group.id"),
                                  role_id=parameters.identifier(request, "role.id"), target=target,
                                  effective=parameters.flag(request, "effective"))
        found = assignments.list_assignments(self.services, request.context.caller, wanted)
        if request.get_param("scope.OS-INHERIT:inherited_to"):
            found = []
        names = parameters.flag(request, "include_names")
        response.media = collection(conf, request, "role_assignments", [
            assignment_view(item, root(conf, request), names=names) for item in found])


def _scope(request: falcon.Request) -> Target | None:
    """Return the place asked for; raises Invalid for more than one."""
    places = [Target(kind, value) for kind in ("project", "domain")
              if (value := parameters.identifier(request, f"scope.{kind}.id"))]
    if request.has_param("scope.system"):
        places.append(Target("system"))
    if len(places) > 1:
        raise errors.Invalid(reason="Specify a domain, a project or the system, not several of them.")
    return places[0] if places else None
