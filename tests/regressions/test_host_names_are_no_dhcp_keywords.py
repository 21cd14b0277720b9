"""A server named `ignore`, `infinite`, `45m` or `10.0.0.1` was an order to dnsmasq: no address, or an odd lease.

`tests/integration/test_network_plumbing.py` has the same names on a real dnsmasq.
"""

from __future__ import annotations

import pytest

from compute.network import dhcp_files
from tests.harness import network_factories as factories
from tests.harness.client import Client
from tests.harness.inprocess import Cloud
from tests.harness.ports import wait_for

NAMES = ["ignore", "infinite", "45m", "10.0.0.1", "1d", "3600", "set:red", "id:*", "option:router", "a\nignore", "#",
         ""]


@pytest.mark.parametrize("name", NAMES)
def test_a_host_entry_holds_nothing_of_the_users(name: str) -> None:
    port = factories.port(hostname=name)
    [line] = dhcp_files.entries(factories.network(), [port]).values()
    assert line == "fa:16:3e:00:00:05,10.0.0.5"


@pytest.mark.parametrize("name", ["web1", "ignored", "infinite-1", "m45", "4x", "45min"])
def test_other_names_are_told(name: str) -> None:
    [line] = dhcp_files.entries(factories.network(), [factories.port(hostname=name)]).values()
    assert line == f"fa:16:3e:00:00:05,10.0.0.5,{name}"


def test_a_new_host_name_reaches_the_running_entry(cloud: Cloud, client: Client, image: str) -> None:
    server_id = client.create_server(image, "before")
    client.wait_server(server_id, "ACTIVE")
    answer = client.request("PUT", f"/compute/v2.1/servers/{server_id}", json={"server": {"hostname": "after"}},
                            headers={"OpenStack-API-Version": "compute 2.90"})
    assert answer.status_code == 200, answer.text

    def names() -> set[str]:
        return {port.hostname for agent in cloud.agents.values() for port in agent.tools.network.plugged.values()
                if port.server_id == server_id}

    wait_for(lambda: names() == {"after"}, "the port's new host name")
    [port] = client.get(f"/network/v2.0/ports?device_id={server_id}").json()["ports"]
    assert port["dns_name"] == "after"
    client.delete(f"/compute/v2.1/servers/{server_id}")
    client.wait_gone(server_id)
