"""Users and projects made for a test."""

from __future__ import annotations

from tests.harness.client import Client

_IDENTITY = "/identity/v3"


def make_project(admin: Client, name: str) -> str:
    """Make a project; returns its id."""
    made = admin.post(f"{_IDENTITY}/projects", {"project": {"name": name}})
    made.raise_for_status()
    return str(made.json()["project"]["id"])


def make_user(admin: Client, name: str, project_id: str, role: str = "member") -> Client:
    """Make a user with a role in a project; returns a client that speaks for it."""
    made = admin.post(f"{_IDENTITY}/users", {"user": {"name": name, "password": "pass-word"}})
    made.raise_for_status()
    role_id = admin.get(f"{_IDENTITY}/roles?name={role}").json()["roles"][0]["id"]
    admin.request("PUT", f"{_IDENTITY}/projects/{project_id}/users/{made.json()['user']['id']}/roles/{role_id}"
                  ).raise_for_status()
    project = admin.get(f"{_IDENTITY}/projects/{project_id}").json()["project"]["name"]
    client = Client(admin.url, name, "pass-word", project)
    client.login()
    return client
