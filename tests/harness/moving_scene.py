"""One server of a campaign with two hosts, on either: where it is, who is its source and its target, how it moved."""

from __future__ import annotations

import dataclasses
from typing import Any

import requests

from tests.harness.client import Client
from tests.harness.crash_campaign import HOST, Campaign, Point

SERVERS = "/compute/v2.1/servers"
V80 = {"OpenStack-API-Version": "compute 2.80"}


def at(role: str, *steps: str) -> list[Point]:
    """Return points in the agent of the server's host (`source`), or of the other (`target`)."""
    return [Point(role, step) for step in steps]


class MovingServer:
    """See above."""

    campaign: Campaign
    client: Client
    server: str

    @property
    def host(self) -> str:
        """The host that the server is on."""
        return str((self.client.show(self.server) or {})["OS-EXT-SRV-ATTR:host"])

    def other(self, host: str) -> str:
        """Return the other host."""
        [other] = set(self.campaign.fleet.hosts) - {host}
        return other

    def placed(self, point: Point) -> Point:
        """Return a point in the agent that has its role now."""
        hosts = {"source": self.host, "target": self.other(self.host)}
        if point.process not in hosts:
            return point
        host = hosts[point.process]
        return dataclasses.replace(point, process="agent" if host == HOST else host)

    def ask(self, action: dict[str, Any]) -> requests.Response:
        """Ask for an action."""
        return self.client.post(f"{SERVERS}/{self.server}/action", action, headers=V80)

    def migrate(self) -> requests.Response:
        """Ask for a live migration."""
        return self.ask({"os-migrateLive": {"host": None, "block_migration": "auto"}})

    def migrations(self) -> list[dict[str, Any]]:
        """Return the server's migrations, the newest first."""
        return list(self.client.get(f"/compute/v2.1/os-migrations?instance_uuid={self.server}",
                                    headers=V80).json()["migrations"])

    def check_at(self, host: str, status: str = "ACTIVE") -> None:
        """Wait until all is at rest, with the server at `host`."""
        self.campaign.wait_rest()
        server = self.client.show(self.server) or {}
        assert (server["OS-EXT-SRV-ATTR:host"], server["status"]) == (host, status)
