"""A volume asked for while its project was deleted was answered with 500, and so were servers, routers and others.

The token was checked before the deletion, and the row written after it.
"""

from __future__ import annotations

from typing import Any

import pytest

from hostler.identity.service import Identity
from tests.harness.client import Client
from tests.harness.people import make_project, make_user

CREATIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("/volume/v3/volumes", {"volume": {"size": 1}}),
    ("/compute/v2.1/servers", {"server": {"name": "x", "flavorRef": "42", "imageRef": "IMAGE", "networks": "none"}}),
    ("/compute/v2.1/os-server-groups", {"server_group": {"name": "x", "policy": "affinity"}}),
    ("/image/v2/images", {"name": "x"}),
    ("/network/v2.0/networks", {"network": {}}),
    ("/network/v2.0/routers", {"router": {}}),
    ("/network/v2.0/security-groups", {"security_group": {"name": "x"}}),
    ("/network/v2.0/address-groups", {"address_group": {"name": "x", "addresses": []}}),
    ("/network/v2.0/subnetpools", {"subnetpool": {"name": "x", "prefixes": ["10.0.0.0/8"]}}),
    ("/identity/v3/users/USER/application_credentials", {"application_credential": {"name": "x"}}),
)


@pytest.mark.parametrize("number", range(len(CREATIONS)), ids=[path for path, _ in CREATIONS])
def test_what_is_made_for_a_project_that_goes_is_refused(client: Client, image: str, monkeypatch: pytest.MonkeyPatch,
                                                         number: int) -> None:
    """Given a request whose token was valid, when its project is deleted before it writes, then it is a conflict."""
    project_id = make_project(client, f"going-{number}")
    member = make_user(client, f"user-{number}", project_id)
    opened = client.request(
        "PATCH", f"/image/v2/images/{image}", data='[{"op": "replace", "path": "/visibility", "value": "public"}]',
        headers={"Content-Type": "application/openstack-images-v2.1-json-patch"})
    assert opened.ok
    checked = Identity.authenticate_token
    caller: list[Any] = []

    def check(self: Identity, token: str, *, request_id: str) -> Any:
        """Return who asks, who was known before the project went."""
        if token != member.token_id:
            return checked(self, token, request_id=request_id)
        if not caller:
            caller.append(checked(self, token, request_id=request_id))
        return caller[0]

    monkeypatch.setattr(Identity, "authenticate_token", check)
    path, body = CREATIONS[number]
    path = path.replace("USER", member.token["user"]["id"])
    if "server" in body:
        body = {"server": {**body["server"], "imageRef": image}}
    assert member.get("/network/v2.0/networks").ok
    assert client.delete(f"/identity/v3/projects/{project_id}").status_code == 204
    answer = member.post(path, body)
    assert 400 <= answer.status_code < 500, answer.text
