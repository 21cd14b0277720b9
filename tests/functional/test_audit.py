"""The audit trail of a running api: what makes an event, what is in it, and what is never in it."""

from __future__ import annotations

import dataclasses
import json
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from falcon import testing
from oslo_messaging.notify import _impl_test

from api import wsgi
from api.openstack.identity import FACE as IDENTITY
from hostler import conf as configuration
from hostler import ids
from hostler.audit import trail
from tests.harness import chosen_database
from tests.harness.client import Client
from tests.harness.identity_rest import PASSWORD, IdentityApi, serving
from tests.harness.inprocess import ADMIN_PASSWORD, Cloud
from tests.harness.ports import wait_for
from tests.harness.projects import new_project

Event = dict[str, Any]
DEAD = "rabbit://guest:guest@127.0.0.1:1/"


@dataclasses.dataclass
class Audited:
    """The identity API with a trail."""

    api: IdentityApi
    trail: trail.Trail
    path: Path

    def events(self) -> list[Event]:
        """Return all events so far; ends the trail."""
        self.trail.stop()
        return read(self.path)


def read(path: Path) -> list[Event]:
    return [json.loads(line) for line in path.read_text().split("\n")[:-1]]


def audited(api: IdentityApi, directory: Path, **overrides: Any) -> Audited:
    """Put a trail around an api."""
    conf = configuration.load([], config_files=[], overrides={"state_path": str(directory), **overrides})
    made = trail.build(conf)
    made.start()
    services = dataclasses.replace(api.services, audit=made)
    api.services, api.client = services, testing.TestClient(wsgi.build(services, [IDENTITY]))
    return Audited(api, made, directory / "audit.log")


@pytest.fixture
def api(tmp_path: Path) -> Iterator[IdentityApi]:
    with serving(chosen_database.url_of(tmp_path / "test.db"), tmp_path) as api:
        yield api


def kinds(events: list[Event]) -> list[tuple[str, str]]:
    return [(event["action"], event["outcome"]) for event in events]


def test_logins(api: IdentityApi, tmp_path: Path) -> None:
    """Given good and bad logins, then each has an event with address, user and outcome, and none has a secret."""
    made = audited(api, tmp_path)
    user = api.make_user("eve")
    assert api.log_in("eve", PASSWORD).status_code == 201
    assert api.log_in("eve", "guessed-secret").status_code == 401
    assert api.log_in("nobody", "guessed-secret").status_code == 401
    credential = {"identity": {"methods": ["application_credential"], "application_credential": {
        "id": ids.new_id(), "secret": "guessed-secret"}}}
    assert api.call("POST", "/auth/tokens", {"auth": credential}, token="").status_code == 401
    text = "".join(json.dumps(event) for event in made.events())
    assert "guessed-secret" not in text and PASSWORD not in text and api.admin not in text
    events = [event for event in read(made.path) if event["action"] == "authenticate"]
    assert [event["outcome"] for event in events] == ["success", "failure", "failure", "failure"]
    good, bad, unknown, program = (event["initiator"] for event in events)
    assert (good["user_id"], good["username"]) == (user["id"], "eve")
    assert (bad["user_id"], bad["username"], bad["domain"]) == ("unknown", "eve", "default")
    assert unknown["username"] == "nobody"
    assert ids.canonical(program["credential_id"]) == credential["identity"]["application_credential"]["id"]
    assert {event["initiator"]["host"]["address"] for event in events} == {"127.0.0.1"}
    assert events[1]["reason"] == {"reasonType": "HTTP", "reasonCode": "401"}
    assert stat.S_IMODE(made.path.stat().st_mode) == 0o600


def test_changes_of_identity(api: IdentityApi, tmp_path: Path) -> None:
    """Given changes of users, grants, passwords, credentials and tokens, then each has an event, refused ones too."""
    made = audited(api, tmp_path)
    user, project, token = api.member("eve", "house")
    role = api.role("member")
    grant = f"/projects/{project['id']}/users/{user['id']}/roles/{role}"
    assert api.call("DELETE", f"/users/{user['id']}", token=token).status_code == 403
    body = {"application_credential": {"name": "backup"}}
    credential = api.call("POST", f"/users/{user['id']}/application_credentials", body, token=token).json
    assert api.call("DELETE", "/auth/tokens", token=token, X_Subject_Token=token).status_code == 204
    change = {"user": {"password": "a new one", "original_password": PASSWORD}}
    token = api.token_of("eve", PASSWORD, project="house")
    assert api.call("POST", f"/users/{user['id']}/password", change, token=token).status_code == 204
    assert api.call("DELETE", grant).status_code == 204
    assert api.call("GET", "/projects").status_code == 200
    events = made.events()
    assert kinds(events) == [
        ("created.user", "success"), ("created.project", "success"), ("created.role_assignment", "success"),
        ("authenticate", "success"), ("deleted.user", "failure"), ("created.application_credential", "success"),
        ("deleted.token", "success"), ("authenticate", "success"), ("updated.password", "success"),
        ("deleted.role_assignment", "success")]
    assert [event["target"]["id"] for event in events[:2]] == [user["id"], project["id"]]
    assert (events[2]["project"], events[2]["user"], events[2]["role"]) == (project["id"], user["id"], role)
    assert events[4]["initiator"]["user_id"] == events[4]["target"]["id"] == user["id"]
    assert events[0]["initiator"]["user_id"] == ids.bare(api.made.admin_user_id)
    secret = credential["application_credential"]["secret"]
    assert not [word for word in (secret, PASSWORD, "a new one", token) if word in made.path.read_text()]


def test_changes_of_groups(api: IdentityApi, tmp_path: Path) -> None:
    """Given a user put into a group that is given a role, then each has an event of its own name."""
    made = audited(api, tmp_path)
    group = api.call("POST", "/groups", {"group": {"name": "crew"}}).json["group"]
    user, project = api.make_user("eve"), api.make_project("house")
    member = f"/groups/{group['id']}/users/{user['id']}"
    grant = f"/projects/{project['id']}/groups/{group['id']}/roles/{api.role('member')}"
    for method, path in (("PUT", member), ("PUT", grant), ("DELETE", grant), ("DELETE", member),
                         ("DELETE", f"/groups/{group['id']}")):
        assert api.call(method, path).status_code == 204
    events = made.events()
    assert [kind for kind, _ in kinds(events)] == [
        "created.group", "created.user", "created.project", "created.group_member", "created.role_assignment",
        "deleted.role_assignment", "deleted.group_member", "deleted.group"]
    assert (events[3]["group"], events[3]["user"]) == (group["id"], user["id"])
    assert (events[4]["project"], events[4]["group"], events[4]["role"]) == (
        project["id"], group["id"], api.role("member"))


def test_names_forge_no_lines(api: IdentityApi, tmp_path: Path) -> None:
    made = audited(api, tmp_path)
    name = 'x"}\n{"action": "forged"}\r\u2028\x85' + "y" * 200
    assert api.log_in(name[:255], "wrong").status_code == 401
    assert len(made.events()) == 1
    text = made.path.read_text()
    assert text.isascii() and len(text.splitlines()) == 1


def test_notifications(api: IdentityApi, tmp_path: Path) -> None:
    """Given a driver for notifications, then each event goes to the topic as well, under its type."""
    _impl_test.reset()
    made = audited(api, tmp_path, **{"oslo_messaging_notifications.driver": ["test"],
                                     "transport_url": "kombu+memory://", "audit.write_file": False})
    api.log_in("eve", "wrong")
    wait_for(lambda: len(_impl_test.NOTIFICATIONS) == 1, "the notification", timeout_s=10)
    _, sent, priority, _ = _impl_test.NOTIFICATIONS[0]
    assert (sent["event_type"], priority) == ("identity.authenticate", "INFO")
    assert sent["payload"]["outcome"] == "failure"
    assert not made.path.exists()


def test_an_unreachable_bus_delays_and_fails_nothing(api: IdentityApi, tmp_path: Path) -> None:
    """Given a broker that is not there and a queue that is full, then requests go on, and the file has every event."""
    made = audited(api, tmp_path, **{"oslo_messaging_notifications.driver": ["messagingv2"],
                                     "transport_url": DEAD, "audit.queue_size": 20})
    role = {"role": {"description": "x"}}
    path = f"/roles/{api.role('member')}"
    began = time.monotonic()
    for number in range(40):
        assert api.call("PATCH", path, role).status_code == 200
        wait_for(lambda seen=number + 1: made.path.exists() and len(read(made.path)) == seen, "the event in the file")
    assert time.monotonic() - began < 20
    began = time.monotonic()
    assert len(made.events()) == 40
    assert time.monotonic() - began < 10


def test_off(api: IdentityApi, tmp_path: Path) -> None:
    made = audited(api, tmp_path, **{"audit.enabled": False})
    assert not made.trail.enabled
    assert api.log_in("eve", "wrong").status_code == 401
    assert not made.path.exists()


def test_a_whole_cloud(cloud: Cloud, client: Client, image: str) -> None:
    """Given a member and an administrator, when they work, then the administrator's changes and every look at a console
    are in the file, with their outcome, and the member's other work is not."""
    path = cloud.directory / "audit.log"
    member = new_project(cloud, client)
    assert member.post("/compute/v2.1/servers", member.server_body(image, flavor="42")).status_code == 400
    server = client.create_server(image)
    client.wait_server(server, "ACTIVE")
    action = f"/compute/v2.1/servers/{server}/action"
    assert client.post(action, {"os-getConsoleOutput": {}}).status_code == 200
    assert member.post(action, {"os-getConsoleOutput": {}}).status_code == 404
    assert member.post(action, {"os-stop": None}).status_code == 404
    assert client.post(action, {"os-stop": None}).status_code == 202
    assert client.post("/image/v2/images", {"name": "x"}).status_code == 201
    assert member.post("/image/v2/images", {"name": "x"}).status_code == 201
    client.wait_server(server, "SHUTOFF")
    assert client.delete(f"/compute/v2.1/servers/{server}").status_code == 204

    def found() -> list[tuple[str, str, str, str]]:
        return [(event["initiator"].get("username", ""), event["action"], event["outcome"], event["target"]["id"])
                for event in read(path) if event["target"]["id"] == server]

    name = member.token["user"]["name"]
    expected = [("admin", "created.server", "success", server),
                ("admin", "os-getConsoleOutput.server", "success", server),
                (name, "os-getConsoleOutput.server", "failure", server), ("admin", "os-stop.server", "success", server),
                ("admin", "deleted.server", "success", server)]
    wait_for(lambda: len(found()) >= len(expected), "the events", timeout_s=10)
    assert found() == expected
    mine = [event["action"] for event in read(path) if event["initiator"].get("username") == name]
    assert mine == ["authenticate", "os-getConsoleOutput.server"]
    assert ADMIN_PASSWORD not in {part for event in read(path) for part in event["initiator"].values()
                                  if isinstance(part, str)}
