"""`/v3/users` and their passwords."""

from __future__ import annotations

from typing import Any

import falcon

from api.core.identity import users
from api.openstack.identity import parameters, schemas
from api.openstack.identity.rendering import collection, root
from api.openstack.identity.views import user_view
from api.openstack.resource import Resource
from hostler.db.models import User
from hostler.query.expressions import EVERYTHING, NOTHING

_NOBODYS = ("idp_id", "protocol_id", "unique_id", "password_expires_at")


class _Users(Resource):
    def _body(self, request: falcon.Request, user: User) -> dict[str, Any]:
        return {"user": user_view(user, root(self.conf, request))}


class Users(_Users):
    """All users."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List."""
        conf = self.conf
        # Nobody comes from elsewhere, and no password expires.
        foreign = any(request.has_param(name) for name in _NOBODYS)
        listing = parameters.listing(request, conf, "name", "domain_id", "enabled", "default_project_id",
                                     beside=NOTHING if foreign else EVERYTHING)
        page = users.list_users(self.services, request.context.caller, listing)
        response.media = collection(conf, request, "users", page,
                                    lambda user: user_view(user, root(conf, request)))

    def on_post(self, request: falcon.Request, response: falcon.Response) -> None:
        """Create one."""
        body = parameters.body(request, self.conf, schemas.CREATE_USER)
        user = users.create_user(self.services, request.context.caller, schemas.attributes(body, "user"))
        response.status = 201
        response.media = self._body(request, user)


class OneUser(_Users):
    """One user."""

    def on_get(self, request: falcon.Request, response: falcon.Response, user_id: str) -> None:
        """Show it."""
        response.media = self._body(request, users.get_user(self.services, request.context.caller, user_id))

    def on_patch(self, request: falcon.Request, response: falcon.Response, user_id: str) -> None:
        """Change it."""
        body = parameters.body(request, self.conf, schemas.UPDATE_USER)
        response.media = self._body(request, users.update_user(
            self.services, request.context.caller, user_id, schemas.attributes(body, "user", user_id)))

    def on_delete(self, request: falcon.Request, response: falcon.Response, user_id: str) -> None:
        """Delete it."""
        users.delete_user(self.services, request.context.caller, user_id)
        response.status = 204


class UserPassword(_Users):
    """A user's password."""

    def on_post(self, request: falcon.Request, response: falcon.Response, user_id: str) -> None:
        """Change it, knowing the old one."""
        body = parameters.body(request, self.conf, schemas.CHANGE_PASSWORD)
        users.change_password(self.services, request.context.caller, user_id, old=body["user"]["original_password"],
                              new=body["user"]["password"])
        response.status = 204
