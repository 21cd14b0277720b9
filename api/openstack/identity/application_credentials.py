"""`/v3/users/{user_id}/application_credentials`."""

from __future__ import annotations

import falcon

from api.core.identity import application_credentials
from api.openstack.identity import parameters, schemas
from api.openstack.identity.rendering import collection, root
from api.openstack.identity.views import credential_view
from api.openstack.resource import Resource


class ApplicationCredentials(Resource):
    """A user's application credentials."""

    def on_get(self, request: falcon.Request, response: falcon.Response, user_id: str) -> None:
        """List them."""
        conf = self.conf
        page = application_credentials.list_credentials(
            self.services, request.context.caller, user_id, parameters.listing(request, conf, "name"))
        roles = application_credentials.roles_of(self.services)
        response.media = collection(conf, request, "application_credentials", page,
                                    lambda credential: credential_view(credential, roles, root(conf, request)))

    def on_post(self, request: falcon.Request, response: falcon.Response, user_id: str) -> None:
        """Create one; its secret is in this answer only."""
        body = parameters.body(request, self.conf, schemas.CREATE_APPLICATION_CREDENTIAL)
        credential, secret = application_credentials.create_credential(
            self.services, request.context.caller, user_id, body["application_credential"])
        roles = application_credentials.roles_of(self.services)
        view = credential_view(credential, roles, root(self.conf, request))
        response.status = 201
        response.media = {"application_credential": {**view, "secret": secret}}


class OneApplicationCredential(Resource):
    """One application credential."""

    def on_get(self, request: falcon.Request, response: falcon.Response, user_id: str, credential_id: str) -> None:
        """Show it without its secret."""
        credential = application_credentials.get_credential(self.services, request.context.caller, user_id,
                                                            credential_id)
        roles = application_credentials.roles_of(self.services)
        response.media = {"application_credential": credential_view(
            credential, roles, root(self.conf, request))}

    def on_delete(self, request: falcon.Request, response: falcon.Response, user_id: str, credential_id: str) -> None:
        """Delete it."""
        application_credentials.delete_credential(self.services, request.context.caller, user_id, credential_id)
        response.status = 204
