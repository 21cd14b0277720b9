"""An operation failed because its host asked a conductor something while the database was away.

The host asks for members of groups that it missed, or whether an image is still wanted. The conductor could not look it
up, the host answered with that error, and the conductor that waited for the host took it for the host's failure. It is
the database's absence, and waited for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from compute.groups import Members
from hostler import errors
from hostler.db.models import Operation
from tests.harness.client import Client
from tests.harness.inprocess import Cloud
from tests.harness.ports import wait_for

COMPUTE = "/compute/v2.1"
TIMES = 2


def away_for_a_while(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method that finds no database the first times."""
    left = [errors.DatabaseUnavailable() for _ in range(TIMES)]

    def ask(*arguments: Any, **named: Any) -> Any:
        if left:
            raise left.pop()
        return method(*arguments, **named)

    return ask


def test_a_host_that_missed_members_of_groups(client: Client, image: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Members, "take", away_for_a_while(Members.take))
    server_id = client.create_server(image)
    client.wait_server(server_id, "ACTIVE")
    for action, status in (("os-stop", "SHUTOFF"), ("os-start", "ACTIVE")):
        monkeypatch.setattr(Members, "take", away_for_a_while(Members.take))
        answer = client.post(f"{COMPUTE}/servers/{server_id}/action", {action: None})
        assert answer.status_code == 202, answer.text
        client.wait_server(server_id, status)
    listed = client.get(f"{COMPUTE}/servers/{server_id}/os-instance-actions").json()["instanceActions"]
    assert [action["message"] for action in listed] == [None] * 3
    client.delete(f"{COMPUTE}/servers/{server_id}")
    client.wait_gone(server_id)


def test_changed_rules(cloud: Cloud, client: Client, image: str, monkeypatch: pytest.MonkeyPatch) -> None:
    server_id = client.create_server(image)
    client.wait_server(server_id, "ACTIVE")
    [port] = client.get(f"/network/v2.0/ports?device_id={server_id}").json()["ports"]
    monkeypatch.setattr(Members, "take", away_for_a_while(Members.take))
    made = client.post("/network/v2.0/security-group-rules", {"security_group_rule": {
        "security_group_id": port["security_groups"][0], "direction": "ingress", "protocol": "tcp",
        "port_range_min": 4711, "port_range_max": 4711}})
    assert made.status_code == 201, made.text

    def states() -> set[str]:
        with cloud.db.reading() as session:
            return set(session.scalars(sa.select(Operation.state).where(Operation.kind == "network.apply_rules")))

    wait_for(lambda: states() and not states() & {"pending", "running"}, "the change at the host")
    assert states() == {"succeeded"}
    client.delete(f"/network/v2.0/security-group-rules/{made.json()['security_group_rule']['id']}")
    client.delete(f"{COMPUTE}/servers/{server_id}")
    client.wait_gone(server_id)
