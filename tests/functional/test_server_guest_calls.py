"""Passwords, memory dumps and networks of running servers, and events from outside, on fake hosts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from hostler.agent.faults import Order
from tests.harness.client import Client
from tests.harness.inprocess import Cloud
from tests.harness.ports import wait_for

_SERVERS = "/compute/v2.1/servers"


def _agent_of(cloud: Cloud, client: Client, server_id: str) -> Any:
    return cloud.agents[(client.show(server_id) or {})["OS-EXT-SRV-ATTR:host"]]


def _act(client: Client, server_id: str, **body: Any) -> Any:
    return client.post(f"{_SERVERS}/{server_id}/action", body)


@pytest.fixture
def server_id(client: Client, image: str) -> Iterator[str]:
    made = client.create_server(image, "guest")
    client.wait_server(made, "ACTIVE")
    yield made
    client.delete(f"{_SERVERS}/{made}")
    client.wait_gone(made)


@pytest.mark.contract("N-PASSWORD")
def test_a_password_is_set_or_the_reason_is_told(cloud: Cloud, client: Client, server_id: str) -> None:
    driver = _agent_of(cloud, client, server_id).tools.driver
    assert _act(client, server_id, changePassword={"adminPass": "n3w"}).status_code == 202
    assert driver.passwords[server_id] == ("root", "n3w")
    driver.domains[server_id].agent = False
    answer = _act(client, server_id, changePassword={"adminPass": "n3w"})
    assert (answer.status_code, "guest agent does not run" in answer.text) == (409, True), answer.text
    assert (client.show(server_id) or {})["status"] == "ACTIVE"
    for body in ({}, {"adminPass": 7}, {"adminPass": "a", "more": "b"}):
        assert _act(client, server_id, changePassword=body).status_code == 400
    assert _act(client, server_id, **{"os-stop": None}).status_code == 202
    client.wait_server(server_id, "SHUTOFF")
    assert _act(client, server_id, changePassword={"adminPass": "n3w"}).status_code == 409
    actions = client.get(f"{_SERVERS}/{server_id}/os-instance-actions").json()["instanceActions"]
    assert [row["action"] for row in actions] == ["stop", "changePassword", "changePassword", "create"]


@pytest.mark.contract("N-PASSWORD")
def test_a_posted_password_is_kept_until_it_is_forgotten(cloud: Cloud, client: Client, server_id: str) -> None:
    path = f"{_SERVERS}/{server_id}/os-server-password"
    network = _agent_of(cloud, client, server_id).tools.network
    assert client.get(path).json() == {"password": ""}
    assert network.post_password(server_id, "c2VjcmV0")
    assert not network.post_password(server_id, "b3RoZXI=")
    assert client.get(path).json() == {"password": "c2VjcmV0"}
    wait_for(lambda: network.servers[server_id].encrypted_password == "c2VjcmV0", "the guest reads it", 10)
    assert client.delete(path).status_code == 204
    assert client.get(path).json() == {"password": ""}
    wait_for(lambda: network.servers[server_id].encrypted_password is None, "the guest may post again", 10)


def test_a_guest_is_made_to_dump_its_memory(cloud: Cloud, client: Client, server_id: str) -> None:
    driver = _agent_of(cloud, client, server_id).tools.driver
    assert _act(client, server_id, trigger_crash_dump=None).status_code == 202
    wait_for(lambda: driver.domains[server_id].nmis == 1, "an interrupt", 10)


@pytest.mark.contract("N-NETRESET")
@pytest.mark.parametrize("action", ["resetNetwork", "injectNetworkInfo"])
def test_networks_are_made_again(cloud: Cloud, client: Client, server_id: str, action: str) -> None:
    network = _agent_of(cloud, client, server_id).tools.network
    [port_id] = [port.id for port in network.plugged.values() if port.server_id == server_id]
    del network.plugged[port_id]
    network.active.discard(port_id)
    assert _act(client, server_id, **{action: None}).status_code == 202
    wait_for(lambda: port_id in network.active and port_id in network.plugged, "the port's filters", 10)


@pytest.mark.contract("N-FLOATINGIP")
def test_there_are_no_floating_addresses(client: Client, server_id: str) -> None:
    for action in ("addFloatingIp", "removeFloatingIp"):
        answer = client.post(f"{_SERVERS}/{server_id}/action", {action: {"address": "203.0.113.4"}},
                             headers={"OpenStack-API-Version": "compute 2.43"})
        assert (answer.status_code, "floating IP not found" in answer.text) == (404, True)
        assert _act(client, server_id, **{action: {"address": "203.0.113.4"}}).status_code == 400


@pytest.mark.contract("N-NETASSOC")
def test_networks_are_not_managed_here_any_more(client: Client) -> None:
    nobody = "0f0f0f0f-0f0f-4f0f-8f0f-0f0f0f0f0f0f"
    for path in ("/os-networks", "/os-networks/add", f"/os-networks/{nobody}/action", "/os-tenant-networks"):
        for body in ({"disassociate": None}, {"associate_host": "host1"}):
            answer = client.post("/compute/v2.1" + path, body)
            assert (answer.status_code, "Network API" in answer.text) == (410, True), answer.text
    assert client.delete(f"/compute/v2.1/os-tenant-networks/{nobody}").status_code == 410


def test_events_from_outside(cloud: Cloud, client: Client, server_id: str) -> None:
    path, nobody = "/compute/v2.1/os-server-external-events", "0f0f0f0f-0f0f-4f0f-8f0f-0f0f0f0f0f0f"
    agent = _agent_of(cloud, client, server_id)
    agent.tools.network.faults.order(Order(step="network.apply_rules", action="slow", seconds=0))
    event = {"name": "network-changed", "server_uuid": server_id}
    answer = client.post(path, {"events": [event, {"name": "volume-extended", "server_uuid": nobody, "tag": "v"}]})
    assert answer.status_code == 207
    assert [row["code"] for row in answer.json()["events"]] == [200, 404]
    assert client.post(path, {"events": [event]}).json() == {
        "events": [{**event, "code": 200, "status": "completed"}]}
    wait_for(lambda: "network.apply_rules" in agent.tools.network.faults.passed, "the host looked again", 10)
    assert client.post(path, {"events": [{**event, "server_uuid": nobody}]}).status_code == 404
    for body in ({}, {"events": []}, {"events": [{**event, "name": "tea"}]}, {"events": [{**event, "status": "x"}]}):
        assert client.post(path, body).status_code == 400


def test_topology_and_usage_audits(cloud: Cloud, client: Client, server_id: str) -> None:
    assert client.get(f"{_SERVERS}/{server_id}/topology").json() == {"nodes": [], "pagesize_kb": None}
    log = client.get("/compute/v2.1/os-instance_usage_audit_log").json()["instance_usage_audit_logs"]
    assert (log["num_hosts"], log["hosts_not_run"]) == (len(cloud.agents), sorted(cloud.agents))
    found = client.get("/compute/v2.1/os-instance_usage_audit_log/2026-03-05 10:00:00").json()
    assert found["instance_usage_audit_log"]["period_beginning"] == "2026-02-01 00:00:00"
    assert client.get("/compute/v2.1/os-instance_usage_audit_log/yesterday").status_code == 400
