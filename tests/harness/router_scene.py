"""A cloud in this process with a router that has guests on two hosts."""

from __future__ import annotations

from typing import Any

from hostler.resources.server.specs import RouterSpec
from tests.harness.client import Client
from tests.harness.inprocess import Cloud
from tests.harness.ports import wait_for
from tests.harness.router_calls import N, gate, join, made, net, put

VXLAN = {"provider:network_type": "vxlan"}


class Scene:
    """A guest on each of two hosts behind a router; the second one's has a floating IP."""

    def __init__(self, cloud: Cloud, client: Client, cidr: str, **router: Any) -> None:
        self.cloud, self.client = cloud, client
        self.network, self.subnet = net(client, cidr, **VXLAN)
        self.outside, _ = net(client, "203.0.113.0/24", **{"router:external": True})
        self.router = made(client, "router", name="r", **router)["id"]
        join(client, self.router, self.subnet).raise_for_status()
        gate(client, self.router, self.outside).raise_for_status()
        image = client.make_image()
        self.ports, self.servers = [], []
        for host in ("host1", "host2"):
            self.ports.append(made(client, "port", network_id=self.network)["id"])
            self.servers.append(client.create_server(image, networks=[{"port": self.ports[-1]}],
                                                     availability_zone=f"nova:{host}"))
        for server in self.servers:
            client.wait_server(server, "ACTIVE")
        self.floating = made(client, "floatingip", floating_network_id=self.outside, port_id=self.ports[1])

    def told(self, number: int) -> Any:
        """Return the router as the host of that number was told it: an empty one while it is switched off."""
        routers = self.cloud.agents[f"host{number}"].tools.network.plugged[self.ports[number - 1]].network.routers
        return routers[0] if routers else RouterSpec(id="")

    def wait_elected(self, *hosts: str) -> str:
        """Wait until both hosts know that one of `hosts` leads outside; returns it."""
        def agreed() -> bool:
            said = [(self.told(number).elected or {}).get("host") for number in (1, 2)]
            return said[0] == said[1] and said[0] in (hosts or ("host1", "host2"))
        wait_for(agreed, f"the election of {hosts}", 30)
        return str(self.told(1).elected["host"])

    def address(self, port: str) -> str:
        return str(self.client.get(f"{N}/ports/{port}").json()["port"]["fixed_ips"][0]["ip_address"])

    def agents(self) -> dict[str, dict[str, Any]]:
        return {agent["host"]: agent for agent in self.client.get(
            f"{N}/routers/{self.router}/l3-agents").json()["agents"]}

    def states(self) -> dict[str, str | None]:
        return {host: agent.get("ha_state") for host, agent in self.agents().items()}

    def close(self) -> None:
        for server in self.servers:
            self.client.delete(f"/compute/v2.1/servers/{server}")
        for server in self.servers:
            self.client.wait_gone(server)
        # A project may have ten routers.
        self.client.delete(f"{N}/floatingips/{self.floating['id']}").raise_for_status()
        leave = put(self.client, f"routers/{self.router}/remove_router_interface", {"subnet_id": self.subnet})
        leave.raise_for_status()
        self.client.delete(f"{N}/routers/{self.router}").raise_for_status()


def other(host: str) -> str:
    return "host2" if host == "host1" else "host1"
