"""The doctor said of a router's IPv6 address on its external network, at which every host with guests of it answers,
that it leads to the one host alone that has the router's IPv4 address."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from conductor.audit.checks.host_networks import HostNetworks
from tests.harness.client import Client
from tests.harness.inprocess import Cloud
from tests.harness.ports import wait_for
from tests.harness.router_calls import N, gate, join, made, net, put


def test_an_address_that_every_host_has_is_no_stranger_there(cloud: Cloud, client: Client) -> None:
    network, subnet = net(client, "10.67.0.0/24")
    outside, _ = net(client, "203.0.113.0/24", **{"router:external": True})
    made(client, "subnet", network_id=outside, ip_version=6, cidr="2001:db8::/64")
    router = made(client, "router")["id"]
    join(client, router, subnet).raise_for_status()
    gate(client, router, outside).raise_for_status()
    image = client.make_image()
    servers = [client.create_server(image, networks=[{"uuid": network}], availability_zone=f"nova:{host}")
               for host in ("host1", "host2")]
    for server in servers:
        client.wait_server(server, "ACTIVE")

    def seen() -> dict[str, Any]:
        return {host: {"network": cloud.agents[host].tools.network.inspect({})} for host in ("host1", "host2")}

    def strangers(hosts: dict[str, Any]) -> list[str]:
        with cloud.db.reading() as session:
            return [finding.target.id for finding in HostNetworks().find(
                session, cast(Any, SimpleNamespace(hosts=hosts, locked=())))]

    wait_for(lambda: all(any(":" in address for address in host["network"]["addresses"][router])
                         and len(host["network"]["addresses"][router]) == 2 for host in seen().values()),
             "both hosts' addresses", 30)
    assert strangers(seen()) == []
    # Of an elected host's router it is at that host alone.
    put(client, f"routers/{router}", {"router": {"distributed": False, "admin_state_up": False}}).raise_for_status()
    put(client, f"routers/{router}", {"router": {"admin_state_up": True}}).raise_for_status()
    wait_for(lambda: sorted(len(host["network"]["addresses"].get(router, ())) for host in seen().values()) == [0, 2],
             "one host's addresses", 30)
    wait_for(lambda: strangers(seen()) == [], "both hosts to be as the records say", 30)
    hosts = seen()
    held = [host["network"]["addresses"] for host in hosts.values()]
    assert strangers({name: {"network": {"differences": [], "addresses": addresses}}
                      for name, addresses in zip(hosts, held[::-1], strict=True)}) == [router, router]
    for server in servers:
        client.delete(f"/compute/v2.1/servers/{server}")
        client.wait_gone(server)
    put(client, f"routers/{router}/remove_router_interface", {"subnet_id": subnet}).raise_for_status()
    client.delete(f"{N}/routers/{router}").raise_for_status()
