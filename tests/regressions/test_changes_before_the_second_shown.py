"""`changes-before` with the time that a server shows left that server out: what is shown has no fraction of a second.

Seen by the functional tests of the `openstack` command.
"""

from __future__ import annotations

from tests.harness.client import Client


def test_a_server_is_among_what_changed_until_its_time(client: Client, image: str) -> None:
    server = client.create_server(image)
    client.wait_server(server, "ACTIVE")
    updated = client.get(f"/compute/v2.1/servers/{server}").json()["server"]["updated"]
    for query in (f"changes-before={updated}", f"changes-since={updated}"):
        found = client.get(f"/compute/v2.1/servers?{query}").json()["servers"]
        assert server in [one["id"] for one in found], query
