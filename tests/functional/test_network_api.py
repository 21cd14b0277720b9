"""The unmodified clients against the Network API of a whole cloud: what people type, and what happens to servers."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import openstack
import pytest
import sqlalchemy as sa

from hostler.db.models import Operation
from hostler.operations import states
from tests.harness import openstack_cli
from tests.harness.client import Client
from tests.harness.inprocess import ADMIN_PASSWORD, Cloud
from tests.harness.ports import wait_for

needs_client = pytest.mark.skipif(openstack_cli.missing() is not None, reason=str(openstack_cli.missing()))
Run = Callable[..., Any]


def login_of(cloud: Cloud) -> dict[str, str]:
    """Return how clients log in as the administrator."""
    return {"auth_url": f"{cloud.url}/identity/v3", "username": "admin", "password": ADMIN_PASSWORD,
            "project_name": "admin", "user_domain_id": "default", "project_domain_id": "default"}


@pytest.fixture
def run(cloud: Cloud) -> Run:
    """Return a function that runs `openstack …` and gives back its JSON, or its complaint with `fails=True`."""
    environment = {f"OS_{key.upper()}": value for key, value in login_of(cloud).items()}

    def command(*arguments: str, fails: bool = False, plain: bool = False) -> Any:
        extra = () if plain or fails else ("-f", "json")
        done = openstack_cli.run([*arguments, *extra], environment)
        assert (done.returncode != 0) == fails, done.stderr
        if fails:
            return done.stderr
        return None if plain else json.loads(done.stdout)

    return command


@pytest.fixture
def sdk(cloud: Cloud) -> Any:
    """Return an openstacksdk connection."""
    return openstack.connection.Connection(**login_of(cloud), region_name="RegionOne",
                                           app_name="hostler-tests")


def unfinished(cloud: Cloud) -> int:
    """Return how many operations wait or run."""
    with cloud.db.reading() as session:
        return len(session.scalars(sa.select(Operation.id).where(Operation.state.in_(states.UNFINISHED))).all())


def finished(cloud: Cloud, kind: str, resource_id: str) -> list[str]:
    """Return the states of a resource's operations of one kind."""
    with cloud.db.reading() as session:
        return list(session.scalars(sa.select(Operation.state).where(Operation.kind == kind,
                                                                     Operation.resource_id == resource_id)))


@needs_client
def test_networks_subnets_and_ports_by_hand(run: Run) -> None:
    network = run("network", "create", "blue", "--mtu", "1400", "--tag", "red", "--description", "mine")
    assert (network["name"], network["mtu"], network["tags"]) == ("blue", 1400, ["red"])
    subnet = run("subnet", "create", "blue4", "--network", "blue", "--subnet-range", "192.0.2.0/24",
                 "--dns-nameserver", "9.9.9.9", "--allocation-pool", "start=192.0.2.10,end=192.0.2.99",
                 "--host-route", "destination=10.0.0.0/8,gateway=192.0.2.5")
    assert subnet["gateway_ip"] == "192.0.2.1" and subnet["cidr"] == "192.0.2.0/24"
    run("subnet", "set", "blue4", "--no-dns-nameservers", "--dns-nameserver", "8.8.8.8", plain=True)
    assert run("subnet", "show", "blue4")["dns_nameservers"] == ["8.8.8.8"]
    port = run("port", "create", "p1", "--network", "blue", "--fixed-ip", "subnet=blue4,ip-address=192.0.2.50")
    assert port["fixed_ips"][0]["ip_address"] == "192.0.2.50" and port["binding_vif_type"] == "unbound"
    run("port", "set", "p1", "--allowed-address", "ip-address=192.0.2.60", "--name", "p2", plain=True)
    assert [item["Name"] for item in run("port", "list", "--network", "blue")] == ["p2"]
    assert [item["Name"] for item in run("port", "list", "--fixed-ip", "ip-address=192.0.2.50")] == ["p2"]
    assert [item["Name"] for item in run("network", "list", "--tags", "red", "--long")] == ["blue"]
    assert [item["Name"] for item in run("subnet", "list", "--network", "blue")] == ["blue4"]
    assert "ports still in use" in run("network", "delete", "blue", fails=True)
    assert "IP allocation" in run("subnet", "delete", "blue4", fails=True)
    assert run("ip", "availability", "show", "blue")["used_ips"] == 1
    run("port", "delete", "p2", plain=True)
    run("network", "set", "blue", "--name", "green", "--share", plain=True)
    assert run("network", "show", "green")["shared"] is True
    run("network", "delete", "green", plain=True)
    assert "No Network found for green" in run("network", "show", "green", fails=True)


@needs_client
def test_security_groups_by_hand(run: Run) -> None:
    group = run("security", "group", "create", "web", "--description", "the web")
    assert len(group["rules"]) == 2
    rule = run("security", "group", "rule", "create", "web", "--protocol", "tcp", "--dst-port", "22:23",
               "--remote-ip", "10.0.0.0/8")
    assert (rule["port_range_min"], rule["port_range_max"], rule["direction"]) == (22, 23, "ingress")
    run("security", "group", "rule", "create", "web", "--protocol", "icmp", "--icmp-type", "8")
    run("security", "group", "rule", "create", "web", "--remote-group", "web", "--ethertype", "IPv6")
    assert len(run("security", "group", "rule", "list", "web")) == 5
    assert "already exists" in run("security", "group", "rule", "create", "web", "--protocol", "icmp",
                                   "--icmp-type", "8", fails=True)
    run("security", "group", "rule", "delete", rule["id"], plain=True)
    run("security", "group", "set", "web", "--name", "www", plain=True)
    assert {item["Name"] for item in run("security", "group", "list")} >= {"default", "www"}
    run("security", "group", "delete", "www", plain=True)


@needs_client
def test_the_commands_that_only_look(run: Run) -> None:
    aliases = {item["Alias"] for item in run("extension", "list", "--network")}
    assert "security-group" in aliases
    assert {"nova"} <= {item["Zone Name"] for item in run("availability", "zone", "list", "--network")}
    assert isinstance(run("quota", "show", "--network"), list)
    run("quota", "set", "--ports", "77", "admin", plain=True)
    assert {item["Resource"]: item["Limit"] for item in run("quota", "show", "--network", "admin")}["ports"] == 77
    run("quota", "delete", "--network", "admin", plain=True)


def test_the_sdk_follows_pages(sdk: Any) -> None:
    for number in range(5):
        sdk.network.create_network(name=f"page{number}")
    found = [network.name for network in sdk.network.networks(limit=2, sort_key="name", sort_dir="asc")]
    assert [name for name in found if name.startswith("page")] == [f"page{number}" for number in range(5)]
    for number in range(5):
        sdk.network.delete_network(sdk.network.find_network(f"page{number}"), ignore_missing=False)
    assert sdk.network.find_network("page0") is None
    assert sdk.network.find_extension("Availability Zone") is not None


def test_a_servers_port_lives_and_goes_with_it(client: Client, sdk: Any, image: str) -> None:
    server_id = client.create_server(image, "ported")
    client.wait_server(server_id, "ACTIVE")
    [port] = sdk.network.ports(device_id=server_id)
    assert (port.status, port.device_owner) == ("ACTIVE", "compute:nova") and port.binding_host_id.startswith("host")
    with pytest.raises(openstack.exceptions.ConflictException, match="in use by server"):
        sdk.network.delete_port(port, ignore_missing=False)
    client.delete(f"/compute/v2.1/servers/{server_id}")
    client.wait_gone(server_id)
    assert list(sdk.network.ports(device_id=server_id)) == []


def test_a_users_port_is_given_back(client: Client, sdk: Any, image: str) -> None:
    network = next(iter(sdk.network.networks()))
    port = sdk.network.create_port(network_id=network.id, name="kept")
    server_id = client.create_server(image, "borrower", networks=[{"port": port.id}])
    client.wait_server(server_id, "ACTIVE")
    assert sdk.network.get_port(port.id).device_id == server_id
    client.delete(f"/compute/v2.1/servers/{server_id}")
    client.wait_gone(server_id)
    freed = sdk.network.get_port(port.id)
    assert (freed.device_id, freed.status, freed.binding_host_id) == ("", "DOWN", "")
    sdk.network.delete_port(port.id, ignore_missing=False)


def test_a_new_rule_and_a_new_address_reach_the_host(cloud: Cloud, client: Client, sdk: Any, image: str) -> None:
    group = sdk.network.create_security_group(name="live")
    server_id = client.create_server(image, "ruled", security_groups=[{"name": "live"}])
    client.wait_server(server_id, "ACTIVE")
    sdk.network.create_security_group_rule(security_group_id=group.id, direction="ingress", protocol="tcp",
                                           port_range_min=80, port_range_max=80)
    [port] = sdk.network.ports(device_id=server_id)
    sdk.network.update_port(port.id, dns_name="renamed")

    def done() -> bool:
        return not unfinished(cloud)

    wait_for(done, "the hosts were told", timeout_s=20)
    assert finished(cloud, "network.apply_rules", group.id) == ["succeeded"]
    assert finished(cloud, "network.update", port.network_id) == ["succeeded"]
    client.delete(f"/compute/v2.1/servers/{server_id}")
    client.wait_gone(server_id)
    sdk.network.delete_security_group(group.id, ignore_missing=False)


@needs_client
def test_templates_stateless_groups_dhcp_options_and_ipv6_routers_by_hand(run: Run) -> None:
    rule = run("default", "security", "group", "rule", "create", "--ingress", "--protocol", "tcp", "--dst-port", "22",
               "--remote-group", "PARENT", "--for-custom-sg")
    assert rule["remote_group_id"] == "PARENT" and rule["used_in_non_default_sg"] and rule["port_range_min"] == 22
    assert rule["id"] in {one["ID"] for one in run("default", "security", "group", "rule", "list")}
    group = run("security", "group", "create", "--stateless", "quick")
    assert group["stateful"] is False
    assert [one["remote_group_id"] for one in group["rules"] if one["port_range_min"] == 22] == [group["id"]]
    run("default", "security", "group", "rule", "delete", rule["id"], plain=True)
    assert run("default", "security", "group", "rule", "show", rule["id"], fails=True)
    run("network", "create", "six")
    for number in (1, 2):
        run("subnet", "create", f"six{number}", "--network", "six", "--ip-version", "6", "--subnet-range",
            f"fd0{number}::/64", "--ipv6-ra-mode", "slaac", "--ipv6-address-mode", "slaac")
    run("router", "create", "r6")
    for number in (1, 2):
        run("router", "add", "subnet", "r6", f"six{number}", plain=True)
    ports = run("port", "list", "--router", "r6")
    assert [len(one["Fixed IP Addresses"]) for one in ports] == [2]
    run("router", "add", "route", "r6", "--route", "destination=fd99::/48,gateway=fd01::9", plain=True)
    assert run("router", "show", "r6")["routes"] == [{"destination": "fd99::/48", "nexthop": "fd01::9"}]
    run("router", "unset", "r6", "--route", "destination=fd99::/48,gateway=fd01::9", plain=True)
    for number in (2, 1):
        run("router", "remove", "subnet", "r6", f"six{number}", plain=True)
    assert run("port", "list", "--router", "r6") == []
    port = run("port", "create", "p", "--network", "six", "--extra-dhcp-option", "name=dns-server,value=fd01::53,"
               "ip-version=6", "--security-group", "quick")
    assert port["extra_dhcp_opts"] == [{"opt_name": "dns-server", "opt_value": "fd01::53", "ip_version": 6}]
    assert "not a value of" in run("port", "create", "q", "--network", "six", "--extra-dhcp-option", "name=mtu,value=x",
                                   fails=True)


@needs_client
def test_bindings_by_hand(run: Run, client: Client, image: str) -> None:
    run("network", "create", "bound")
    run("subnet", "create", "bound4", "--network", "bound", "--subnet-range", "10.88.0.0/24")
    port = run("port", "create", "b", "--network", "bound", "--host", "elsewhere", "--binding-profile", "speed=fast")
    assert (port["binding_host_id"], port["binding_vif_type"]) == ("elsewhere", "unbound")
    assert port["binding_profile"] == {"speed": "fast"}
    assert [one["ID"] for one in run("port", "list", "--host", "elsewhere")] == [port["id"]]
    server = client.create_server(image, networks=[{"port": port["id"]}])
    client.wait_server(server, "ACTIVE")
    shown = run("port", "show", "b")
    host = (client.show(server) or {})["OS-EXT-SRV-ATTR:host"]
    assert (shown["binding_host_id"], shown["binding_vif_type"], shown["binding_profile"]) == (
        host, "bridge", {"speed": "fast"})
    assert "in use" in run("port", "set", "b", "--host", "elsewhere", fails=True)
