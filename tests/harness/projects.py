"""Further projects of a cloud in this process, each with a user of its own."""

from __future__ import annotations

import uuid

from tests.harness.client import Client
from tests.harness.inprocess import Cloud

PASSWORD = "of a member"


def new_project(cloud: Cloud, admin: Client, name: str | None = None, role: str = "member") -> Client:
    """Make a project and a user with `role` in it; returns that user's client, logged in."""
    name = name or f"p{uuid.uuid4().hex[:8]}"
    made = admin.post("/identity/v3/projects", {"project": {"name": name}})
    made.raise_for_status()
    user = admin.post("/identity/v3/users", {"user": {"name": name, "password": PASSWORD}})
    user.raise_for_status()
    roles = {row["name"]: row["id"] for row in admin.get("/identity/v3/roles").json()["roles"]}
    admin.request("PUT", f"/identity/v3/projects/{made.json()['project']['id']}/users/{user.json()['user']['id']}"
                         f"/roles/{roles[role]}").raise_for_status()
    client = Client(cloud.url, name, PASSWORD, name)
    client.login()
    return client
