"""Members: the projects an image is shared with."""

from __future__ import annotations

import falcon

from api.bodies import read_json
from api.core.image import members as verbs
from api.openstack.image.schemas import validate_answer, validate_member
from api.openstack.image.views import member_view
from api.openstack.resource import Resource


class Members(Resource):
    """/v2/images/{image_id}/members"""

    def on_get(self, request: falcon.Request, response: falcon.Response, image_id: str) -> None:
        """List the members."""
        members = verbs.list_members(self.services, request.context.caller, image_id)
        response.media = {"members": [member_view(member) for member in members], "schema": "/v2/schemas/members"}

    def on_post(self, request: falcon.Request, response: falcon.Response, image_id: str) -> None:
        """Share the image with a project."""
        body = read_json(request, self.conf.api.max_body_bytes)
        validate_member(body)
        response.media = member_view(
            verbs.add_member(self.services, request.context.caller, image_id, body["member"]))


class Member(Resource):
    """/v2/images/{image_id}/members/{member_id}"""

    def on_get(self, request: falcon.Request, response: falcon.Response, image_id: str, member_id: str) -> None:
        """Show a member."""
        response.media = member_view(
            verbs.show_member(self.services, request.context.caller, image_id, member_id))

    def on_put(self, request: falcon.Request, response: falcon.Response, image_id: str, member_id: str) -> None:
        """Accept or reject the image."""
        body = read_json(request, self.conf.api.max_body_bytes)
        validate_answer(body)
        response.media = member_view(verbs.answer_member(
            self.services, request.context.caller, image_id, member_id, body["status"]))

    def on_delete(self, request: falcon.Request, response: falcon.Response, image_id: str, member_id: str) -> None:
        """Stop sharing the image with a project."""
        verbs.remove_member(self.services, request.context.caller, image_id, member_id)
        response.status = 204
