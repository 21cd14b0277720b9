"""`/v3/users` and their passwords."""

from __future__ import annotations

from typing import Final

import falcon
from oslo_config import cfg

from api.core.identity import users
from api.openstack.identity import parameters, schemas
from api.openstack.identity.nouns import Noun
from api.openstack.identity.views import user_view
from api.openstack.resource import Resource
from hostler.query.expressions import EVERYTHING, NOTHING
from hostler.query.paging import Query

_NOBODYS = ("idp_id", "protocol_id", "unique_id", "password_expires_at")


def _listing(request: falcon.Request, conf: cfg.ConfigOpts) -> Query:
    # Nobody comes from elsewhere, and no password expires.
    foreign = any(request.has_param(name) for name in _NOBODYS)
    return parameters.listing(request, conf, "name", "domain_id", "enabled", "default_project_id",
                              beside=NOTHING if foreign else EVERYTHING)


USER: Final = Noun(
    name="user", view=user_view, creation=schemas.CREATE_USER, change=schemas.UPDATE_USER, listing=_listing,
    list_page=users.list_users, get=users.get_user, create=users.create_user, update=users.update_user,
    delete=users.delete_user)


class UserPassword(Resource):
    """A user's password."""

    def on_post(self, request: falcon.Request, response: falcon.Response, user_id: str) -> None:
        """Change it, knowing the old one."""
        body = parameters.body(request, self.conf, schemas.CHANGE_PASSWORD)
        users.change_password(self.services, request.context.caller, user_id, old=body["user"]["original_password"],
                              new=body["user"]["password"])
        response.status = 204
