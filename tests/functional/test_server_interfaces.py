"""NICs and addresses of existing servers, as a user sees them, on fake hosts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from hostler.agent.faults import Order
from hostler.db.models import Port
from tests.harness import invariants
from tests.harness.client import Client
from tests.harness.inprocess import Cloud
from tests.harness.ports import wait_for

_SERVERS = "/compute/v2.1/servers"


def _rest(cloud: Cloud) -> None:
    def faults() -> list[str]:
        found = invariants.database_faults(cloud.db)
        for name, agent in cloud.agents.items():
            found += invariants.host_faults(cloud.db, name, cloud.directory / name) if agent else []
        return found

    wait_for(lambda: not faults(), f"rest; still: {faults()}", timeout_s=30)


def _agent_of(cloud: Cloud, client: Client, server_id: str) -> Any:
    return cloud.agents[(client.show(server_id) or {})["OS-EXT-SRV-ATTR:host"]]


def _nics(cloud: Cloud, client: Client, server_id: str) -> set[str]:
    tools = _agent_of(cloud, client, server_id).tools
    nics = set(tools.driver.domains[server_id].nics)
    assert nics == {port.id for port in tools.network.plugged.values() if port.server_id == server_id}
    return nics


def _attach(client: Client, server_id: str, **body: Any) -> Any:
    return client.post(f"{_SERVERS}/{server_id}/os-interface", {"interfaceAttachment": body})


def _port(client: Client, network_id: str) -> dict[str, Any]:
    made = client.post("/network/v2.0/ports", {"port": {"network_id": network_id}})
    made.raise_for_status()
    return dict(made.json()["port"])


def _network(client: Client) -> str:
    return str(client.get("/network/v2.0/networks?name=default").json()["networks"][0]["id"])


@pytest.fixture
def server_id(client: Client, image: str) -> Iterator[str]:
    made = client.create_server(image, "nics")
    client.wait_server(made, "ACTIVE")
    yield made
    client.delete(f"{_SERVERS}/{made}")
    client.wait_gone(made)


@pytest.mark.contract("N-FIXEDIP")
def test_a_network_and_a_port_come_and_go(cloud: Cloud, client: Client, server_id: str) -> None:
    network_id = _network(client)
    made = _attach(client, server_id, net_id=network_id, tag="inside")
    assert made.status_code == 200, made.text
    shown = made.json()["interfaceAttachment"]
    assert (shown["port_state"], shown["tag"], shown["net_id"]) == ("ACTIVE", "inside", network_id)
    assert shown["mac_addr"] and len(shown["fixed_ips"]) == 1
    port = _port(client, network_id)
    given = _attach(client, server_id, port_id=port["id"]).json()["interfaceAttachment"]
    assert (given["mac_addr"], given["port_id"]) == (port["mac_address"], port["id"])
    listed = client.get(f"{_SERVERS}/{server_id}/os-interface").json()["interfaceAttachments"]
    assert [row["port_id"] for row in listed][1:] == [shown["port_id"], port["id"]]
    assert {row["port_id"] for row in listed} == _nics(cloud, client, server_id)
    assert client.get(f"{_SERVERS}/{server_id}/os-interface/{port['id']}").json()["interfaceAttachment"] == given
    for port_id in (shown["port_id"], port["id"]):
        assert client.delete(f"{_SERVERS}/{server_id}/os-interface/{port_id}").status_code == 202
        assert client.delete(f"{_SERVERS}/{server_id}/os-interface/{port_id}").status_code == 404
    assert len(_nics(cloud, client, server_id)) == 1
    assert client.get(f"/network/v2.0/ports/{shown['port_id']}").status_code == 404, "it was made for the server"
    kept = client.get(f"/network/v2.0/ports/{port['id']}").json()["port"]
    assert (kept["device_id"], kept["status"]) == ("", "DOWN"), "it is the user's"
    client.delete(f"/network/v2.0/ports/{port['id']}")
    actions = client.get(f"{_SERVERS}/{server_id}/os-instance-actions").json()["instanceActions"]
    assert [row["action"] for row in actions] == [
        "detach_interface", "detach_interface", "attach_interface", "attach_interface", "create"]
    _rest(cloud)


@pytest.mark.contract("N-FIXEDIP")
def test_a_stopped_server_gets_its_nic_with_its_next_start(cloud: Cloud, client: Client, server_id: str) -> None:
    client.post(f"{_SERVERS}/{server_id}/action", {"os-stop": None})
    client.wait_server(server_id, "SHUTOFF")
    made = _attach(client, server_id)
    assert made.status_code == 200, made.text
    client.post(f"{_SERVERS}/{server_id}/action", {"os-start": None})
    client.wait_server(server_id, "ACTIVE")
    assert made.json()["interfaceAttachment"]["port_id"] in _nics(cloud, client, server_id)
    _rest(cloud)


@pytest.mark.contract("N-FIXEDIP")
def test_a_guest_that_does_not_let_go_keeps_its_nic(cloud: Cloud, client: Client, server_id: str) -> None:
    agent = _agent_of(cloud, client, server_id)
    [port_id] = _nics(cloud, client, server_id)
    agent.tools.driver.faults.order(Order(step="driver.detach_interface:guest", action="fail", reason="busy", times=99))
    cloud.conf.set_override("interface_detach_timeout", 0, "compute")
    try:
        answer = client.delete(f"{_SERVERS}/{server_id}/os-interface/{port_id}")
    finally:
        cloud.conf.clear_override("interface_detach_timeout", "compute")
        agent.tools.driver.faults.clear()
    assert answer.status_code == 409, answer.text
    assert "did not let go" in answer.text
    assert _nics(cloud, client, server_id) == {port_id}
    assert (client.show(server_id) or {})["status"] == "ACTIVE"
    _rest(cloud)


@pytest.mark.contract("N-FIXEDIP")
def test_a_nic_that_cannot_be_plugged_leaves_nothing(cloud: Cloud, client: Client, server_id: str) -> None:
    agent = _agent_of(cloud, client, server_id)
    port = _port(client, _network(client))
    agent.tools.driver.faults.order(Order(step="driver.attach_interface:before", action="fail", reason="no slot left"))
    answer = _attach(client, server_id, port_id=port["id"])
    assert answer.status_code == 409, answer.text
    assert "no slot left" in answer.text
    assert len(_nics(cloud, client, server_id)) == 1
    assert client.get(f"/network/v2.0/ports/{port['id']}").json()["port"]["device_id"] == ""
    assert client.delete(f"/network/v2.0/ports/{port['id']}").status_code == 204
    _rest(cloud)


def test_what_cannot_be_attached_is_refused_with_the_reason(client: Client, image: str, server_id: str) -> None:
    network_id = _network(client)
    nobody = "0f0f0f0f-0f0f-4f0f-8f0f-0f0f0f0f0f0f"
    other = client.create_server(image, "other")
    client.wait_server(other, "ACTIVE")
    [used] = client.get(f"{_SERVERS}/{other}/os-interface").json()["interfaceAttachments"]
    for body, status, words in (
            ({"port_id": used["port_id"]}, 409, "in use"), ({"port_id": nobody}, 404, nobody),
            ({"net_id": nobody}, 404, nobody), ({"net_id": network_id, "port_id": nobody}, 400, "both"),
            ({"fixed_ips": [{"ip_address": "10.0.0.9"}]}, 400, "Must input network_id"),
            ({"net_id": network_id, "fixed_ips": [{"ip_address": "203.0.113.9"}]}, 400, "203.0.113.9"),
            ({"net_id": network_id, "fixed_ips": [{"ip_address": used["fixed_ips"][0]["ip_address"]}]}, 409, "already"),
            ({"net_id": "x"}, 400, "net_id"), ({"tag": "a/b"}, 400, "tag")):
        answer = _attach(client, server_id, **body)
        assert (answer.status_code, words in answer.text) == (status, True), (body, answer.text)
    assert client.delete(f"{_SERVERS}/{server_id}/os-interface/{used['port_id']}").status_code == 404
    client.post(f"{_SERVERS}/{server_id}/action", {"suspend": None})
    client.wait_server(server_id, "SUSPENDED")
    assert _attach(client, server_id).status_code == 409
    client.delete(f"{_SERVERS}/{other}")
    client.wait_gone(other)


@pytest.mark.contract("N-FIXEDIP")
def test_an_address_is_added_and_removed(cloud: Cloud, client: Client, server_id: str) -> None:
    old = {"OpenStack-API-Version": "compute 2.43"}

    def act(**body: Any) -> Any:
        return client.post(f"{_SERVERS}/{server_id}/action", body, headers=old)

    def addresses() -> set[str]:
        return {row["addr"] for row in (client.show(server_id) or {})["addresses"]["default"]}

    [port_id] = _nics(cloud, client, server_id)
    first = addresses()
    assert act(addFixedIp={"networkId": _network(client)}).status_code == 202
    [added] = addresses() - first
    plugged = _agent_of(cloud, client, server_id).tools.network.plugged
    wait_for(lambda: {fixed.ip_address for fixed in plugged[port_id].fixed_ips} == addresses(), "told", 10)
    assert act(removeFixedIp={"address": added}).status_code == 202
    assert addresses() == first
    wait_for(lambda: {fixed.ip_address for fixed in plugged[port_id].fixed_ips} == first, "told", 10)
    assert act(removeFixedIp={"address": added}).status_code == 400
    assert act(addFixedIp={"networkId": "0f0f0f0f-0f0f-4f0f-8f0f-0f0f0f0f0f0f"}).status_code == 404
    assert act(addFixedIp={}).status_code == 400
    _rest(cloud)


def test_a_full_quota_refuses_a_new_port_and_no_given_one(cloud: Cloud, client: Client, server_id: str) -> None:
    port = _port(client, _network(client))
    with cloud.db.reading() as session:
        used = session.scalar(sa.select(sa.func.count()).where(Port.project_id == client_project(client)))
    quota = f"/network/v2.0/quotas/{client.project_id}"
    client.request("PUT", quota, json={"quota": {"port": used}}).raise_for_status()
    try:
        answer = _attach(client, server_id)
        assert answer.status_code == 403, answer.text
        assert _attach(client, server_id, port_id=port["id"]).status_code == 200
    finally:
        client.delete(quota)
    client.delete(f"{_SERVERS}/{server_id}/os-interface/{port['id']}")
    client.delete(f"/network/v2.0/ports/{port['id']}")


def client_project(client: Client) -> str:
    """Return the project's id as the database spells it."""
    bare = client.project_id.replace("-", "")
    return "-".join((bare[:8], bare[8:12], bare[12:16], bare[16:20], bare[20:]))
