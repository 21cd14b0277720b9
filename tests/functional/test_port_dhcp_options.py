"""DHCP options of a port: kept, changed one by one, refused when wrong, and known to the port's host."""

from __future__ import annotations

from typing import Any

from tests.harness.client import Client
from tests.harness.inprocess import Cloud
from tests.harness.ports import wait_for
from tests.harness.router_calls import N


def test_dhcp_options_of_a_port_reach_its_host(cloud: Cloud, client: Client, image: str) -> None:
    network = client.post(f"{N}/networks", {"network": {"name": "dhcp"}}).json()["network"]["id"]
    client.post(f"{N}/subnets", {"subnet": {"network_id": network, "ip_version": 4, "cidr": "10.77.0.0/24"}})
    given = [{"opt_name": "bootfile-name", "opt_value": "a.ipxe"},
             {"opt_name": "dns-server", "opt_value": "fd00::1", "ip_version": "6"}]
    made = client.post(f"{N}/ports", {"port": {"network_id": network, "extra_dhcp_opts": given}}).json()["port"]
    shown = [{**given[0], "ip_version": 4}, {**given[1], "ip_version": 6}]
    assert made["extra_dhcp_opts"] == shown
    server = client.create_server(image, networks=[{"port": made["id"]}])
    client.wait_server(server, "ACTIVE")
    agent = cloud.agents[(client.show(server) or {})["OS-EXT-SRV-ATTR:host"]]

    def told() -> list[Any]:
        return list(agent.tools.network.plugged[made["id"]].dhcp_options)

    assert told() == shown
    gone = {"port": {"extra_dhcp_opts": [{"opt_name": "bootfile-name", "opt_value": None}]}}
    changed = client.request("PUT", f"{N}/ports/{made['id']}", json=gone)
    assert changed.json()["port"]["extra_dhcp_opts"] == shown[1:]
    wait_for(lambda: told() == shown[1:], "the change", 30)
    for wrong in ([{"opt_name": "mtu", "opt_value": "x"}], [{"opt_value": "x"}], [{"opt_name": "mtu", "ip_version": 5}],
                  [{"opt_name": "mtu", "opt_value": "1400", "more": 1}], {"opt_name": "mtu"}):
        refused = client.request("PUT", f"{N}/ports/{made['id']}", json={"port": {"extra_dhcp_opts": wrong}})
        assert refused.status_code == 400, (wrong, refused.text)
    assert client.get(f"{N}/ports/{made['id']}").json()["port"]["extra_dhcp_opts"] == shown[1:]
