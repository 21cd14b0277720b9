"""Live migration as administrators see it, on fake hosts: where servers go, what is seen and asked on the way."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import sqlalchemy as sa
from sqlalchemy import orm

from compute import diskheader
from compute.virt.fake.disks import write_overlay
from hostler import ids
from hostler.agent.faults import Order
from hostler.db.models import Allocation, Host
from hostler.resources.network import kinds
from hostler.resources.server import allocations
from tests.harness import invariants
from tests.harness.client import Client
from tests.harness.inprocess import Cloud
from tests.harness.ports import wait_for

_SERVERS = "/compute/v2.1/servers"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A cloud of two hosts."""
    made = Cloud(tmp_path_factory.mktemp("two"))
    made.client = made.start()  # type: ignore[attr-defined]
    yield made
    made.stop()


@pytest.fixture
def client(cloud: Cloud) -> Client:
    return cloud.client  # type: ignore[attr-defined,no-any-return]


@pytest.fixture(scope="module")
def image(cloud: Cloud) -> str:
    return str(cloud.client.make_image())  # type: ignore[attr-defined]


@pytest.fixture
def slowly(cloud: Cloud) -> Iterator[None]:
    """Guests take half a minute to be sent: for tests that wait for something on the way."""
    for agent in cloud.agents.values():
        agent.tools.driver.migration_s = 30.0
    yield
    for agent in cloud.agents.values():
        agent.tools.driver.migration_s = 0.0


def migrate(client: Client, server_id: str, version: str = "2.68", **more: Any) -> requests.Response:
    argument = {"host": None, "block_migration": "auto", **more}
    return client.post(f"{_SERVERS}/{server_id}/action", {"os-migrateLive": argument},
                       headers={"OpenStack-API-Version": f"compute {version}"})


def host_of(client: Client, server_id: str) -> str:
    return str((client.show(server_id) or {})["OS-EXT-SRV-ATTR:host"])


def migrations_of(client: Client, server_id: str) -> list[dict[str, Any]]:
    answer = client.get(f"/compute/v2.1/os-migrations?instance_uuid={server_id}",
                        headers={"OpenStack-API-Version": "compute 2.80"})
    return list(answer.json()["migrations"])


def wait_migration(client: Client, server_id: str, status: str) -> dict[str, Any]:
    """Wait until the server's last migration has a status."""
    wait_for(lambda: migrations_of(client, server_id)[0]["status"] == status,
             f"{status}: {migrations_of(client, server_id)}", 15, every_s=0.05)
    return migrations_of(client, server_id)[0]


def wait_sending(client: Client, server_id: str) -> int:
    """Wait until the guest is on its way; returns the migration's number."""
    return int(wait_migration(client, server_id, "running")["id"])


@pytest.fixture
def server_id(client: Client, image: str) -> Iterator[str]:
    """A server for one test."""
    made = client.create_server(image, "traveller")
    client.wait_server(made, "ACTIVE")
    yield made
    if client.show(made) is not None:
        client.delete(f"{_SERVERS}/{made}")
        client.wait_gone(made)


def rest(cloud: Cloud) -> None:
    def faults() -> list[str]:
        found = invariants.database_faults(cloud.db)
        for name, agent in cloud.agents.items():
            found += invariants.host_faults(cloud.db, name, cloud.directory / name) if agent else []
        return found

    wait_for(lambda: not faults(), f"rest; still: {faults()}", timeout_s=15)


def claims(cloud: Cloud, server_id: str) -> list[str]:
    with cloud.db.reading() as session:
        return list(session.scalars(sa.select(Host.name).join(Allocation, Allocation.host_id == Host.id)
                                    .where(Allocation.consumer_id == server_id)))


@pytest.fixture
def overlay(client: Client) -> Iterator[str]:
    """A VXLAN network."""
    network = client.post("/network/v2.0/networks", {"network": {
        "name": "overlay", "provider:network_type": "vxlan"}}).json()["network"]
    client.post("/network/v2.0/subnets", {"subnet": {
        "network_id": network["id"], "ip_version": 4, "cidr": "10.66.0.0/24"}}).raise_for_status()
    yield network["id"]
    client.delete(f"/network/v2.0/networks/{network['id']}").raise_for_status()


def test_frames_follow_a_guest_on_a_vxlan_network(cloud: Cloud, client: Client, image: str, overlay: str) -> None:
    servers = [client.create_server(image, f"on-{host}", networks=[{"uuid": overlay}], availability_zone=f"nova:{host}")
               for host in ("host1", "host2")]
    for server_id in servers:
        client.wait_server(server_id, "ACTIVE")
    macs = [(client.show(server_id) or {})["addresses"]["overlay"][0]["OS-EXT-IPS-MAC:mac_addr"]
            for server_id in servers]

    def knows(host: str, *places: tuple[str, str]) -> bool:
        members = cloud.agents[host].tools.network.groups.get(kinds.key(overlay), ())
        return {(mac, place) for mac, _, place in map(str.split, members)} == set(places)

    first, second = "192.0.2.1", "192.0.2.2"
    for host in ("host1", "host2"):
        wait_for(lambda host=host: knows(host, (macs[0], first), (macs[1], second)), f"both places on {host}", 30)
    assert migrate(client, servers[0]).status_code == 202
    wait_migration(client, servers[0], "completed")
    client.wait_server(servers[0], "ACTIVE")
    wait_for(lambda: knows("host2", (macs[0], second), (macs[1], second)), "the new place", 30)
    client.delete(f"{_SERVERS}/{servers[0]}")
    client.wait_gone(servers[0])
    wait_for(lambda: knows("host2", (macs[1], second)), "the one that is left", 30)
    client.delete(f"{_SERVERS}/{servers[1]}")
    client.wait_gone(servers[1])
    rest(cloud)


def test_a_server_that_no_host_can_carry_says_why(client: Client, image: str) -> None:
    network = client.post("/network/v2.0/networks", {"network": {"provider:physical_network": "nowhere"}}
                          ).json()["network"]
    client.post("/network/v2.0/subnets", {"subnet": {
        "network_id": network["id"], "ip_version": 4, "cidr": "10.67.0.0/24"}}).raise_for_status()
    server_id = client.create_server(image, "stranded", networks=[{"uuid": network["id"]}])
    server = client.wait_server(server_id, "ERROR")
    assert "the server's networks need physical network nowhere" in server["fault"]["message"]
    client.delete(f"{_SERVERS}/{server_id}")
    client.wait_gone(server_id)
    client.delete(f"/network/v2.0/networks/{network['id']}").raise_for_status()


@pytest.mark.contract("N-MIGRATE")
def test_what_a_disk_builds_on_goes_along_when_its_image_is_gone(cloud: Cloud, client: Client) -> None:
    data = b"outlived" * 1024
    base, image = hashlib.sha256(data).hexdigest(), client.make_image(data=data)
    server_id = client.create_server(image, "outlives")
    client.wait_server(server_id, "ACTIVE")
    state = {host: cloud.directory / host / "compute" for host in cloud.agents}

    def builds_on(host: str) -> str | None:
        return diskheader.base_of(state[host] / "servers" / server_id / "disk")

    write_overlay(state[host_of(client, server_id)] / "servers" / server_id / "disk", base)
    client.delete(f"/image/v2/images/{image}").raise_for_status()
    for _ in range(2):
        source = host_of(client, server_id)
        [target] = set(cloud.agents) - {source}
        (state[target] / "images" / base).unlink(missing_ok=True)
        assert migrate(client, server_id).status_code == 202
        wait_migration(client, server_id, "completed")
        client.wait_server(server_id, "ACTIVE")
        assert builds_on(target) == base and (state[target] / "images" / base).exists()
    client.delete(f"{_SERVERS}/{server_id}")
    client.wait_gone(server_id)
    rest(cloud)


@pytest.mark.contract("N-MIGRATE")
def test_there_and_back(cloud: Cloud, client: Client, server_id: str) -> None:
    address = (client.show(server_id) or {})["addresses"]
    for _ in range(2):
        source = host_of(client, server_id)
        [target] = set(cloud.agents) - {source}
        answer = migrate(client, server_id)
        assert answer.status_code == 202, answer.text
        done = wait_migration(client, server_id, "completed")
        assert (done["source_compute"], done["dest_compute"], done["migration_type"]) == (
            source, target, "live-migration")
        client.wait_server(server_id, "ACTIVE")
        assert host_of(client, server_id) == target
        assert server_id in cloud.agents[target].tools.driver.list_servers()
        assert server_id not in cloud.agents[source].tools.driver.list_servers()
        assert claims(cloud, server_id) == [target]
        assert not (cloud.directory / source / "compute" / "servers" / server_id).exists()
    assert (client.show(server_id) or {})["addresses"] == address
    actions = client.get(f"{_SERVERS}/{server_id}/os-instance-actions").json()["instanceActions"]
    assert [action["action"] for action in actions] == ["live-migration", "live-migration", "create"]
    rest(cloud)


@pytest.mark.contract("N-MIGRATE")
@pytest.mark.usefixtures("slowly")
def test_what_is_seen_on_the_way_and_an_abort(cloud: Cloud, client: Client, server_id: str) -> None:
    source = host_of(client, server_id)
    assert migrate(client, server_id).status_code == 202
    number = wait_sending(client, server_id)
    shown = client.show(server_id) or {}
    assert (shown["status"], shown["OS-EXT-STS:task_state"], shown["OS-EXT-SRV-ATTR:host"]) == (
        "MIGRATING", "migrating", source)
    path = f"{_SERVERS}/{server_id}/migrations/{number}"
    modern = {"OpenStack-API-Version": "compute 2.80"}
    wait_for(lambda: client.get(path, headers=modern).json()["migration"]["memory_processed_bytes"], "progress", 10)
    seen = client.get(path, headers=modern).json()["migration"]
    assert seen["memory_processed_bytes"] + seen["memory_remaining_bytes"] == seen["memory_total_bytes"] == 128 << 20
    assert seen["disk_total_bytes"] == 1 << 30
    assert migrate(client, server_id).status_code == 409
    assert client.request("DELETE", path, headers=modern).status_code == 202
    wait_migration(client, server_id, "cancelled")
    client.wait_server(server_id, "ACTIVE")
    assert host_of(client, server_id) == source
    assert claims(cloud, server_id) == [source]
    assert client.request("DELETE", path, headers=modern).status_code == 404
    rest(cloud)


@pytest.mark.usefixtures("slowly")
def test_members_that_come_on_the_way_are_known_at_the_target(cloud: Cloud, client: Client, server_id: str) -> None:
    source = host_of(client, server_id)
    assert migrate(client, server_id).status_code == 202
    number = wait_sending(client, server_id)
    [nic] = client.get(f"/network/v2.0/ports?device_id={server_id}").json()["ports"]
    answer = client.post("/network/v2.0/ports", {"port": {"network_id": nic["network_id"]}})
    member = answer.json()["port"]
    path = f"{_SERVERS}/{server_id}/migrations/{number}/action"
    assert client.post(path, {"force_complete": None}, headers={"OpenStack-API-Version": "compute 2.80"}).ok
    wait_migration(client, server_id, "completed")
    [target] = set(cloud.agents) - {source}
    [group_id], [fixed] = member["security_groups"], member["fixed_ips"]
    assert f"{member['mac_address']} {fixed['ip_address']}/32" in cloud.agents[target].tools.network.groups[group_id]
    client.delete(f"/network/v2.0/ports/{member['id']}")


@pytest.mark.contract("N-MIGRATE")
@pytest.mark.usefixtures("slowly")
def test_forced_to_an_end(cloud: Cloud, client: Client, server_id: str) -> None:
    source = host_of(client, server_id)
    assert migrate(client, server_id).status_code == 202
    number = wait_sending(client, server_id)
    answer = client.post(f"{_SERVERS}/{server_id}/migrations/{number}/action", {"force_complete": None},
                       headers={"OpenStack-API-Version": "compute 2.22"})
    assert answer.status_code == 202, answer.text
    wait_migration(client, server_id, "completed")
    assert host_of(client, server_id) != source
    rest(cloud)


@pytest.mark.usefixtures("slowly")
def test_a_guest_that_dies_on_its_way_is_off_where_it_was(cloud: Cloud, client: Client, server_id: str) -> None:
    source = host_of(client, server_id)
    assert migrate(client, server_id).status_code == 202
    wait_sending(client, server_id)
    wait_for(lambda: cloud.agents[source].tools.driver.get_migration(server_id), "the sending", 30)
    cloud.agents[source].tools.driver.happen(server_id, "stopped")
    wait_migration(client, server_id, "failed")
    assert client.wait_server(server_id, "SHUTOFF")["OS-EXT-SRV-ATTR:host"] == source
    assert claims(cloud, server_id) == [source]
    assert client.post(f"{_SERVERS}/{server_id}/action", {"os-start": None}).status_code == 202
    client.wait_server(server_id, "ACTIVE")
    rest(cloud)


@pytest.mark.usefixtures("slowly")
def test_a_deletion_stops_it(cloud: Cloud, client: Client, server_id: str) -> None:
    assert migrate(client, server_id).status_code == 202
    wait_sending(client, server_id)
    assert client.delete(f"{_SERVERS}/{server_id}").status_code == 204
    client.wait_gone(server_id, timeout_s=20)
    rest(cloud)


@pytest.mark.parametrize("step", ["migrate.ports", "driver.prepare_migration", "driver.send:before"])
def test_a_failure_leaves_the_server_where_it_is(cloud: Cloud, client: Client, server_id: str, step: str) -> None:
    source = host_of(client, server_id)
    for agent in cloud.agents.values():
        agent.tools.driver.faults.order(Order(step=step, action="fail", reason="no way", server_id=server_id))
    assert migrate(client, server_id).status_code == 202
    wait_migration(client, server_id, "failed")
    shown = client.wait_server(server_id, "ACTIVE")
    assert shown["OS-EXT-SRV-ATTR:host"] == source
    assert claims(cloud, server_id) == [source]
    [target] = set(cloud.agents) - {source}
    assert not (cloud.directory / target / "compute" / "servers" / server_id).exists()
    for agent in cloud.agents.values():
        agent.tools.driver.faults.clear()
    rest(cloud)


def test_processors_are_compared(cloud: Cloud, client: Client, server_id: str) -> None:
    source = host_of(client, server_id)
    driver = cloud.agents[source].tools.driver
    driver.features = frozenset({"avx512f", "sse2"})
    try:
        assert migrate(client, server_id).status_code == 202
        wait_migration(client, server_id, "failed")
    finally:
        driver.features = frozenset()
    action = client.get(f"{_SERVERS}/{server_id}/os-instance-actions").json()["instanceActions"][0]
    assert (action["action"], action["message"]) == ("live-migration", "Error")
    assert host_of(client, server_id) == source


def test_a_paused_server_stays_paused(cloud: Cloud, client: Client, server_id: str) -> None:
    source = host_of(client, server_id)
    assert client.post(f"{_SERVERS}/{server_id}/action", {"pause": None}).status_code == 202
    client.wait_server(server_id, "PAUSED")
    assert migrate(client, server_id).status_code == 202
    wait_migration(client, server_id, "completed")
    assert client.wait_server(server_id, "PAUSED")["OS-EXT-SRV-ATTR:host"] != source
    rest(cloud)


def test_bad_input_and_wrong_states(cloud: Cloud, client: Client, server_id: str) -> None:
    source = host_of(client, server_id)
    assert migrate(client, server_id, host="nowhere").status_code == 400
    assert migrate(client, server_id, host=source).status_code == 400
    assert migrate(client, server_id, host="a/b").status_code == 400
    assert migrate(client, server_id, force=True).status_code == 400
    assert migrate(client, server_id, "2.30", force=True).status_code == 400
    assert migrate(client, server_id, "2.24").status_code == 400
    assert migrate(client, server_id, "2.24", block_migration=True, disk_over_commit="maybe").status_code == 400
    assert migrate(client, server_id, block_migration="perhaps").status_code == 400
    number = {"OpenStack-API-Version": "compute 2.65"}
    assert client.request("DELETE", f"{_SERVERS}/{server_id}/migrations/99", headers=number).status_code == 404
    assert client.request("DELETE", f"{_SERVERS}/{server_id}/migrations/x", headers=number).status_code == 400
    assert client.post(f"{_SERVERS}/{server_id}/action", {"os-stop": None}).status_code == 202
    client.wait_server(server_id, "SHUTOFF")
    answer = migrate(client, server_id)
    assert answer.status_code == 409
    assert "stopped" in answer.text
    rest(cloud)


def test_block_migration_of_what_need_not_or_cannot_be_copied(cloud: Cloud, client: Client, server_id: str) -> None:
    source = host_of(client, server_id)
    assert migrate(client, server_id, block_migration=False).status_code == 202
    wait_migration(client, server_id, "failed")
    assert host_of(client, server_id) == source
    assert migrate(client, server_id, "2.24", block_migration="true", disk_over_commit=False).status_code == 202
    wait_migration(client, server_id, "completed")
    rest(cloud)


def test_no_other_host_fits(cloud: Cloud, client: Client, server_id: str) -> None:
    source = host_of(client, server_id)
    filler = ids.new_id()

    def fill(session: orm.Session) -> None:
        # A claim, which counts at once: schedulers read that a host is disabled about a second later.
        host = session.scalars(sa.select(Host).where(Host.name != source)).one()
        free = allocations.capacity_of(host)
        assert allocations.claim(session, consumer_id=filler, host_id=host.id, expected_generation=None,
                                 vcpus=0, ram_mib=free.ram_mib, disk_gib=0) is not None

    cloud.db.write(fill)
    try:
        assert migrate(client, server_id).status_code == 202
        wait_migration(client, server_id, "failed")
        assert claims(cloud, server_id) == [source]
    finally:
        cloud.db.write(lambda session: allocations.release(session, filler))
    rest(cloud)
