"""A rule for all ports of a protocol was shown without ports among a server's security groups.

The Compute API's old words have no null there: all of TCP and UDP is 1 to 65535, all of any other protocol -1 to -1.
"""

from __future__ import annotations

from typing import Any

from tests.harness.client import Client


def test_all_ports_have_numbers(client: Client, image: str) -> None:
    group = client.post("/network/v2.0/security-groups", {"security_group": {"name": "old words"}}).json()[
        "security_group"]["id"]
    for protocol in ("tcp", "udp", "icmp", "gre"):
        client.post("/network/v2.0/security-group-rules", {"security_group_rule": {
            "security_group_id": group, "direction": "ingress", "protocol": protocol}}).raise_for_status()
    server = client.create_server(image, security_groups=[{"name": group}])
    client.wait_server(server, "ACTIVE")

    [shown] = client.get(f"/compute/v2.1/servers/{server}/os-security-groups").json()["security_groups"]

    ports: dict[str, Any] = {rule["ip_protocol"]: (rule["from_port"], rule["to_port"]) for rule in shown["rules"]}
    assert ports == {"tcp": (1, 65535), "udp": (1, 65535), "icmp": (-1, -1), "gre": (-1, -1)}
