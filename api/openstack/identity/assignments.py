"""Giving, taking, checking and listing roles: `/v3/{projects,domains,system}/…/users/…/roles`, `role_assignments`."""

from __future__ import annotations

import falcon

from api.core.identity import assignments
from api.core.identity.assignments import AssignmentFilter, Target
from api.openstack.identity import parameters
from api.openstack.identity.rendering import collection, root
from api.openstack.identity.views import assignment_view, role_view
from api.openstack.resource import Resource
from api.services import Services
from hostler import errors


class _Grants(Resource):
    def __init__(self, services: Services, kind: str) -> None:
        super().__init__(services)
        self._kind = kind

    def _target(self, place: dict[str, str]) -> Target:
        return Target("system") if self._kind == "system" else Target(self._kind, place[f"{self._kind}_id"])


class Grants(_Grants):
    """A user's roles in one place."""

    def on_get(self, request: falcon.Request, response: falcon.Response, user_id: str, **place: str) -> None:
        """List them."""
        conf = self.conf
        found = assignments.list_grants(self.services, request.context.caller, self._target(place), user_id)
        response.media = collection(conf, request, "roles", [role_view(role, root(conf, request)) for role in found])


class OneGrant(_Grants):
    """One role of a user in one place."""

    def on_put(self, request: falcon.Request, response: falcon.Response, user_id: str, role_id: str,
               **place: str) -> None:
        """Give it."""
        assignments.grant(self.services, request.context.caller, self._target(place), user_id, role_id)
        response.status = 204

    def on_get(self, request: falcon.Request, response: falcon.Response, user_id: str, role_id: str,
               **place: str) -> None:
        """Say whether the user has it."""
        assignments.check_grant(self.services, request.context.caller, self._target(place), user_id, role_id)
        response.status = 204

    def on_head(self, request: falcon.Request, response: falcon.Response, user_id: str, role_id: str,
                **place: str) -> None:
        """Say whether the user has it."""
        self.on_get(request, response, user_id, role_id, **place)

    def on_delete(self, request: falcon.Request, response: falcon.Response, user_id: str, role_id: str,
                  **place: str) -> None:
        """Take it."""
        assignments.revoke(self.services, request.context.caller, self._target(place), user_id, role_id)
        response.status = 204


class RoleAssignments(Resource):
    """All assignments."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List them. There are no groups and no inherited roles."""
        conf = self.conf
        wanted = AssignmentFilter(user_id=parameters.identifier(request, "user.id"),
                                  role_id=parameters.identifier(request, "role.id"), target=_scope(request),
                                  effective=parameters.flag(request, "effective"))
        found = assignments.list_assignments(self.services, request.context.caller, wanted)
        if request.get_param("group.id") or request.get_param("scope.OS-INHERIT:inherited_to"):
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
