"""`/v3/groups`, their members, `/v3/users/{user_id}/groups`."""

from __future__ import annotations

from typing import Final

import falcon

from api.core.identity import groups
from api.openstack.identity import nouns, parameters, schemas
from api.openstack.identity.nouns import Noun
from api.openstack.identity.users import USER
from api.openstack.identity.views import group_view
from api.openstack.resource import Resource

GROUP: Final = Noun(
    name="group", view=group_view, creation=schemas.CREATE_GROUP, change=schemas.UPDATE_GROUP,
    listing=lambda request, conf: parameters.listing(request, conf, "name", "domain_id"),
    list_page=groups.list_groups, get=groups.get_group, create=groups.create_group, update=groups.update_group,
    delete=groups.delete_group)


class UserGroups(nouns.Resource):
    """The groups that a user is in."""

    def on_get(self, request: falcon.Request, response: falcon.Response, user_id: str) -> None:
        """List them."""
        query = parameters.listing(request, self.conf, "name")
        response.media = self.show_page(request, groups.list_user_groups(
            self.services, request.context.caller, user_id, query))


class Members(nouns.Resource):
    """The users in a group."""

    def on_get(self, request: falcon.Request, response: falcon.Response, group_id: str) -> None:
        """List them."""
        response.media = self.show_page(request, groups.list_members(
            self.services, request.context.caller, group_id, USER.listing(request, self.conf)))


class OneMember(Resource):
    """One user's membership."""

    def on_put(self, request: falcon.Request, response: falcon.Response, group_id: str, user_id: str) -> None:
        """Begin it."""
        groups.add_member(self.services, request.context.caller, group_id, user_id)
        response.status = 204

    def on_get(self, request: falcon.Request, response: falcon.Response, group_id: str, user_id: str) -> None:
        """Say whether the user is in the group."""
        groups.check_member(self.services, request.context.caller, group_id, user_id)
        response.status = 204

    def on_delete(self, request: falcon.Request, response: falcon.Response, group_id: str, user_id: str) -> None:
        """End it."""
        groups.remove_member(self.services, request.context.caller, group_id, user_id)
        response.status = 204
