"""Extending a volume in use left no `extend_volume` in the list of what was done to its server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.harness.client import Client
from tests.harness.ports import wait_for
from tests.harness.volume_words import V3, attach, make_volume, wait_volume

SERVERS = "/compute/v2.1/servers"


@pytest.fixture
def server(client: Client, image: str) -> Iterator[str]:
    server_id = client.create_server(image, "grows")
    client.wait_server(server_id, "ACTIVE")
    yield server_id
    client.delete(f"{SERVERS}/{server_id}")


def actions(client: Client, server: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get(f"{SERVERS}/{server}/os-instance-actions").json()["instanceActions"]
    return [row for row in found if row["action"] == "extend_volume"]


def test_the_server_says_that_its_volume_grew(client: Client, server: str) -> None:
    volume = make_volume(client)
    assert attach(client, server, volume).status_code == 200
    wait_volume(client, volume, "in-use")
    answer = client.post(f"{V3}/volumes/{volume}/action", {"os-extend": {"new_size": 2}},
                         headers={"OpenStack-API-Version": "volume 3.42"})
    assert answer.status_code == 202, answer.text
    # It is noted when it has happened, as published, not when it is accepted.
    wait_for(lambda: client.get(f"{V3}/volumes/{volume}").json()["volume"]["size"] == 2, "the extension")
    (action,) = actions(client, server)
    assert action["message"] is None and action["project_id"]
    shown = client.get(f"{SERVERS}/{server}/os-instance-actions/{action['request_id']}")
    assert shown.status_code == 200 and shown.json()["instanceAction"]["action"] == "extend_volume"
