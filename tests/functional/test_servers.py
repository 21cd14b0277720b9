"""Servers from request to gone, as a user sees it, on fake hosts."""

from __future__ import annotations

import json

import pytest
import sqlalchemy as sa

from hostler.agent.faults import Order
from hostler.db.models import Allocation, Operation, Server
from tests.harness import invariants
from tests.harness.client import Client
from tests.harness.inprocess import Cloud
from tests.harness.ports import wait_for


def _rest(cloud: Cloud) -> None:
    def faults() -> list[str]:
        found = invariants.database_faults(cloud.db)
        for name, agent in cloud.agents.items():
            found += invariants.host_faults(cloud.db, name, cloud.directory / name) if agent else []
        return found

    wait_for(lambda: not faults(), f"rest; still: {faults()}", timeout_s=30)


@pytest.mark.contract("N-BOOT", "N-DELETE")
def test_boot_show_delete(cloud: Cloud, client: Client, image: str) -> None:
    server_id = client.create_server(image, "one", metadata={"a": "b"})
    server = client.wait_server(server_id, "ACTIVE")
    assert server["metadata"] == {"a": "b"}
    assert server["OS-EXT-SRV-ATTR:host"] in cloud.agents
    assert len(server["addresses"]["default"]) == 1
    assert server["OS-EXT-STS:power_state"] == 1
    actions = client.get(f"/compute/v2.1/servers/{server_id}/os-instance-actions").json()["instanceActions"]
    assert [action["action"] for action in actions] == ["create"]
    action = client.get(f"/compute/v2.1/servers/{server_id}/os-instance-actions/{actions[0]['request_id']}").json()
    assert len(action["instanceAction"]["events"]) >= 3
    assert client.delete(f"/compute/v2.1/servers/{server_id}").status_code == 204
    client.wait_gone(server_id)
    _rest(cloud)


@pytest.mark.contract("N-POWER", "N-REBOOT", "N-PAUSE", "N-SUSPEND")
def test_power_actions(client: Client, image: str) -> None:
    server_id = client.create_server(image, "power")
    client.wait_server(server_id, "ACTIVE")
    path = f"/compute/v2.1/servers/{server_id}/action"
    for body, status in (({"os-stop": None}, "SHUTOFF"), ({"os-start": None}, "ACTIVE"),
                         ({"reboot": {"type": "SOFT"}}, "ACTIVE"), ({"reboot": {"type": "HARD"}}, "ACTIVE"),
                         ({"pause": None}, "PAUSED"), ({"unpause": None}, "ACTIVE"),
                         ({"suspend": None}, "SUSPENDED"), ({"resume": None}, "ACTIVE")):
        answer = client.post(path, body)
        assert answer.status_code == 202, answer.text
        client.wait_server(server_id, status)
    assert client.post(path, {"os-start": None}).status_code == 409
    client.delete(f"/compute/v2.1/servers/{server_id}")
    client.wait_gone(server_id)


@pytest.mark.long
def test_200_servers_at_once(cloud: Cloud, client: Client, image: str) -> None:
    answer = client.post("/compute/v2.1/servers", client.server_body(image, "many", min_count=200, max_count=200))
    assert answer.status_code == 202, answer.text
    wait_for(lambda: not client.get("/compute/v2.1/servers?status=BUILD&limit=1").json()["servers"],
             "200 servers built", timeout_s=120, every_s=0.3)
    servers = client.get("/compute/v2.1/servers/detail?name=many").json()["servers"]
    assert [server["status"] for server in servers] == ["ACTIVE"] * 200
    addresses = {server["addresses"]["default"][0]["addr"] for server in servers}
    assert len(addresses) == 200
    used = client.get("/compute/v2.1/limits").json()["limits"]["absolute"]
    assert (used["totalInstancesUsed"], used["totalCoresUsed"], used["totalRAMUsed"]) == (200, 200, 200 * 128)
    with cloud.db.reading() as session:
        assert session.scalar(sa.select(sa.func.sum(Allocation.vcpus))) == 200
    _rest(cloud)
    for server in servers:
        assert client.delete(f"/compute/v2.1/servers/{server['id']}").status_code == 204
    wait_for(lambda: not client.get("/compute/v2.1/servers?name=many&limit=1").json()["servers"],
             "200 servers gone", timeout_s=120, every_s=0.3)
    used = client.get("/compute/v2.1/limits").json()["limits"]["absolute"]
    assert (used["totalInstancesUsed"], used["totalCoresUsed"], used["totalRAMUsed"]) == (0, 0, 0)
    with cloud.db.reading() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Allocation)) == 0
    _rest(cloud)


def test_a_server_is_deleted_while_it_is_built(cloud: Cloud, client: Client, image: str) -> None:
    for agent in cloud.agents.values():
        agent.tools.driver.faults.order(_slow("driver.create:before", 1.5))
    server_id = client.create_server(image, "hasty")
    assert client.delete(f"/compute/v2.1/servers/{server_id}").status_code == 204
    client.wait_gone(server_id)
    for agent in cloud.agents.values():
        agent.tools.driver.faults.clear()
    _rest(cloud)


def test_a_failed_host_is_replaced_by_another(cloud: Cloud, client: Client, image: str) -> None:
    faults = [agent.tools.driver.faults for agent in cloud.agents.values()]
    for fault in faults[:2]:
        fault.order(_fail("driver.create:before", times=0))
    try:
        server_id = client.create_server(image, "lucky")
        server = client.wait_server(server_id, "ACTIVE")
        assert server["OS-EXT-SRV-ATTR:host"] == list(cloud.agents)[2]
    finally:
        for fault in faults:
            fault.clear()
    client.delete(f"/compute/v2.1/servers/{server_id}")
    client.wait_gone(server_id)
    _rest(cloud)


def test_a_build_that_fails_everywhere_says_why(cloud: Cloud, client: Client, image: str) -> None:
    faults = [agent.tools.driver.faults for agent in cloud.agents.values()]
    for fault in faults:
        fault.order(_fail("driver.create:before", times=0, reason="The disk is full."))
    server_id = client.create_server(image, "unlucky")
    server = client.wait_server(server_id, "ERROR")
    assert "The disk is full." in server["fault"]["message"]
    for fault in faults:
        fault.clear()
    _rest(cloud)
    client.delete(f"/compute/v2.1/servers/{server_id}")
    client.wait_gone(server_id)
    _rest(cloud)


def test_no_room_says_what_each_filter_removed(client: Client, image: str) -> None:
    made = client.post("/compute/v2.1/flavors", {"flavor": {"name": "huge", "vcpus": 1000, "ram": 64, "disk": 1}})
    assert made.status_code == 200, made.text
    server_id = client.create_server(image, "huge", flavor=made.json()["flavor"]["id"])
    server = client.wait_server(server_id, "ERROR")
    assert "capacity" in server["fault"]["message"]
    client.delete(f"/compute/v2.1/servers/{server_id}")
    client.wait_gone(server_id)


@pytest.mark.contract("Z-STATE")
def test_a_guest_that_stops_itself_is_seen_at_once(cloud: Cloud, client: Client, image: str) -> None:
    server_id = client.create_server(image, "selfish")
    server = client.wait_server(server_id, "ACTIVE")
    agent = cloud.agents[server["OS-EXT-SRV-ATTR:host"]]
    agent.tools.driver.happen(server_id, "stopped")
    client.wait_server(server_id, "SHUTOFF", timeout_s=5)
    agent.tools.driver.happen(server_id, "started")
    client.wait_server(server_id, "ACTIVE", timeout_s=5)
    client.delete(f"/compute/v2.1/servers/{server_id}")
    client.wait_gone(server_id)


def test_the_same_idempotency_key_makes_one_server(cloud: Cloud, client: Client, image: str) -> None:
    body = client.server_body(image, "once")
    first, second = (client.post("/compute/v2.1/servers", body, headers={"Idempotency-Key": "k1"}) for _ in range(2))
    assert first.json()["server"]["id"] == second.json()["server"]["id"]
    with cloud.db.reading() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Server).where(Server.name == "once")) == 1
    client.wait_server(first.json()["server"]["id"], "ACTIVE")
    client.delete(f"/compute/v2.1/servers/{first.json()['server']['id']}")
    client.wait_gone(first.json()["server"]["id"])


def test_quota_refuses_with_the_numbers_and_changes_nothing(cloud: Cloud, client: Client, image: str) -> None:
    path = f"/compute/v2.1/os-quota-sets/{client.project_id}"
    assert client.request("PUT", path, json={"quota_set": {"instances": 1}}).status_code == 200
    try:
        with cloud.db.reading() as session:
            before = session.scalar(sa.select(sa.func.count()).select_from(Operation))
        answer = client.post("/compute/v2.1/servers", client.server_body(image, "two", min_count=2, max_count=2))
        assert answer.status_code == 403, answer.text
        assert "Requested 2, but already used 0 of 1 instances" in answer.text
        with cloud.db.reading() as session:
            assert session.scalar(sa.select(sa.func.count()).select_from(Operation)) == before
    finally:
        client.request("PUT", path, json={"quota_set": {"instances": 1000}})


def _slow(step: str, seconds: float) -> Order:
    return Order(step=step, action="slow", seconds=seconds)


def _fail(step: str, times: int = 1, reason: str = "no") -> Order:
    return Order(step=step, action="fail", times=times, reason=reason)


def test_the_guest_learns_its_new_metadata(cloud: Cloud, client: Client, image: str) -> None:
    server_id = client.create_server(image, "talkative")
    host = client.wait_server(server_id, "ACTIVE")["OS-EXT-SRV-ATTR:host"]
    path = f"/compute/v2.1/servers/{server_id}"
    assert client.post(f"{path}/metadata", {"metadata": {"role": "web"}}).status_code == 200
    assert client.request("PUT", path, json={"server": {"name": "renamed"}}).status_code == 200
    kept = cloud.directory / host / "compute" / "servers" / server_id / "spec.json"
    wait_for(lambda: json.loads(kept.read_text())["metadata"] == {"role": "web"}
             and json.loads(kept.read_text())["name"] == "renamed", "the host's spec", timeout_s=15)
    client.delete(path)
    client.wait_gone(server_id)
    _rest(cloud)
