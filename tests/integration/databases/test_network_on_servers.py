"""Addresses and the Network API on PostgreSQL and MariaDB: their locking, JSON and savepoints differ from SQLite's."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from hostler import errors, ids
from hostler.db.models import FixedIp, Network, Port, SecurityGroup, Subnet
from hostler.resources.network import ports, segments
from hostler.resources.network.port_specs import members_for, port_specs
from hostler.resources.network.ports import NetworkRequest
from tests.harness import backends, mariadb
from tests.harness.network_core import DEMO, OTHER, Cloud, make_cloud
from tests.harness.network_rest import ADMIN, OTHERS, Api


@pytest.fixture(scope="module", params=["postgresql", "mariadb"])
def cloud(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """Yield a cloud in a database server of the test's own."""
    lacking = backends.missing() if request.param == "postgresql" else mariadb.missing()
    if lacking:
        pytest.skip(lacking)
    directory = tmp_path_factory.mktemp(request.param)
    server = backends.Postgres() if request.param == "postgresql" else mariadb.MariaDB(directory / "server")
    server.start()
    try:
        cloud = make_cloud(server.url, directory)
        cloud.conf.set_override("networks", -1, "quota")
        yield cloud
        cloud.db.dispose()
    finally:
        server.stop()


def test_concurrent_networks_get_each_number_once_and_in_order(cloud: Cloud) -> None:
    """Eight allocators; the range has a number for all networks but one."""
    cloud.conf.set_override("vni_ranges", ["100:138"], "network")
    failures: list[Exception] = []

    def work() -> None:
        for _ in range(5):
            try:
                cloud.db.write(lambda session: segments.place(session, cloud.conf, Network(
                    id=ids.new_id(), name="net", project_id=OTHER, network_type="vxlan")))
            except Exception as error:  # noqa: BLE001 - whatever it is, the test shows it
                failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [type(error) for error in failures] == [errors.Conflict] and "39 of 39" in str(failures[0]), failures
    with cloud.db.reading() as session:
        numbers = session.scalars(sa.select(Network.segmentation_id).where(Network.network_type == "vxlan")).all()
    assert sorted(numbers) == list(range(100, 139))


def test_concurrent_servers_share_a_subnet_to_the_last_address(cloud: Cloud) -> None:
    """Eight allocators; the pool has room for all servers but one."""
    network_id = cloud.network("192.168.7.0/27", OTHER)  # 28 addresses
    servers = [cloud.server(OTHER) for _ in range(29)]
    failures: list[Exception] = []

    def work(mine: list[str]) -> None:
        for server_id in mine:
            try:
                cloud.db.write(lambda session, server_id=server_id: ports.bind_ports(
                    cloud.db, session, cloud.conf, cloud.context(OTHER), server_id=server_id, hostname="vm",
                    requests=[NetworkRequest(network_id=network_id)], security_groups=()))
            except Exception as error:  # noqa: BLE001 - whatever it is, the test shows it
                failures.append(error)

    threads = [threading.Thread(target=work, args=(servers[index::8],)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [type(error) for error in failures] == [errors.NoAddress], failures
    assert cloud.count(FixedIp) == 28 and cloud.count(Port, Port.network_id == network_id) == 28
    assert cloud.count(SecurityGroup, SecurityGroup.default_of == OTHER) == 1
    with cloud.db.reading() as session:
        found = port_specs(session, server_ids=servers)
        members = members_for(session, (spec for specs in found.values() for spec in specs))
    assert [len(group["members"]) for group in members.values()] == [28]


def test_a_port_is_given_to_one_server_only(cloud: Cloud) -> None:
    api = Api(cloud)
    port = api.make("port", "ports", network_id=cloud.network("10.1.0.0/24"))
    outcomes: list[str] = []

    def work(server_id: str) -> None:
        try:
            cloud.db.write(lambda session: ports.bind_ports(
                cloud.db, session, cloud.conf, cloud.context(), server_id=server_id, hostname="vm",
                requests=[NetworkRequest(port_id=port["id"])], security_groups=()))
            outcomes.append("bound")
        except errors.Conflict:
            outcomes.append("in use")

    threads = [threading.Thread(target=work, args=(cloud.server(),)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["bound"] + ["in use"] * 5


def test_the_api_lists_filters_tags_and_pages(cloud: Cloud) -> None:
    api = Api(cloud)
    networks = [api.make("network", "networks", name=f"n{number}") for number in range(3)]
    api.call("PUT", f"/v2.0/networks/{networks[0]['id']}/tags", {"tags": ["red", "x\"y"]})
    for query, wanted in (("tags=red", ["n0"]), ("tags=Red", []), ("tags=y", []), ("tags=x%22y", ["n0"])):
        assert [item["name"] for item in api.call("GET", f"/v2.0/networks?{query}")["networks"]] == wanted
    page = api.call("GET", "/v2.0/networks?name=n0&name=n1&name=n2&limit=2&sort_key=name&sort_dir=desc")
    assert [item["name"] for item in page["networks"]] == ["n2", "n1"]
    rest = api.call("GET", page["networks_links"][0]["href"].partition("/network")[2])
    assert [item["name"] for item in rest["networks"]] == ["n0"]
    subnet = api.make("subnet", "subnets", network_id=networks[0]["id"], ip_version=4, cidr="10.2.0.0/29")
    port = api.make("port", "ports", network_id=networks[0]["id"], allowed_address_pairs=[{"ip_address": "10.2.9.9"}])
    taken = {"network_id": networks[0]["id"], "fixed_ips": [port["fixed_ips"][0]]}
    api.refused("POST", "/v2.0/ports", {"port": taken}, 409, "IpAddressAlreadyAllocated")
    api.refused("DELETE", f"/v2.0/subnets/{subnet['id']}", None, 409, "SubnetInUse")
    api.refused("DELETE", f"/v2.0/networks/{networks[0]['id']}", None, 409, "NetworkInUse")
    second = api.make("port", "ports", network_id=networks[0]["id"])
    mac = {"port": {"mac_address": port["mac_address"]}}
    api.refused("PUT", f"/v2.0/ports/{second['id']}", mac, 409, "MacAddressInUse")
    assert api.call("GET", "/v2.0/network-ip-availabilities", token=ADMIN)["network_ip_availabilities"]


def test_rules_are_unique_though_made_at_once(cloud: Cloud) -> None:
    api = Api(cloud)
    group_id = api.make("security_group", "security-groups", name="web", token=OTHERS)["id"]
    body = {"security_group_rule": {"security_group_id": group_id, "direction": "ingress", "protocol": "tcp",
                                    "port_range_min": 22, "port_range_max": 22}}
    statuses: list[int] = []

    def work() -> None:
        result = api.client.simulate_post("/network/v2.0/security-group-rules", json=body,
                                          headers={"X-Auth-Token": OTHERS})
        statuses.append(result.status_code)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [201] + [409] * 5


def test_concurrent_subnets_never_share_a_block_of_their_pool(cloud: Cloud) -> None:
    """Four networks of two projects; the pool has a block for all subnets but one."""
    api = Api(cloud)
    pool = api.make("subnetpool", "subnetpools", token=ADMIN, name="pool", shared=True, prefixes=["10.50.0.0/24"],
                    default_prefixlen=28)
    answers: list[tuple[int, str]] = []

    def work(network_id: str, token: str, count: int) -> None:
        body = {"subnet": {"network_id": network_id, "ip_version": 4, "subnetpool_id": pool["id"]}}
        while count:
            answer = api.client.simulate_post("/network/v2.0/subnets", headers={"X-Auth-Token": token}, json=body)
            if answer.status_code != 503:  # a busy database: try again
                answers.append((answer.status_code, answer.text))
                count -= 1

    shares = ((DEMO, ADMIN, 4), (DEMO, ADMIN, 5), (OTHER, OTHERS, 4), (OTHER, OTHERS, 4))
    threads = [threading.Thread(target=work, args=(cloud.network(None, project), token, count))
               for project, token, count in shares]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [refused] = [text for status, text in answers if status != 201]
    assert "SubnetAllocationError" in refused and "256 of 256 addresses" in refused
    with cloud.db.reading() as session:
        blocks = session.scalars(sa.select(Subnet.cidr).where(Subnet.subnetpool_id == pool["id"])).all()
    assert sorted(blocks) == sorted(f"10.50.0.{16 * number}/28" for number in range(16))
