"""Ports as users make them: addresses, groups, pairs, rights, filters; and how hosts follow changes."""

from __future__ import annotations

import pytest

from hostler import ids
from hostler.db.models import Operation
from hostler.resources.network import ports
from tests.harness.network_core import DEMO, Cloud
from tests.harness.network_rest import ADMIN, OTHERS, Api


@pytest.fixture
def api(cloud: Cloud) -> Api:
    """Return the Network API over the cloud."""
    return Api(cloud)


@pytest.fixture
def network_id(cloud: Cloud) -> str:
    """Return a network with the subnet 10.0.0.0/24."""
    return cloud.network()


def server_with_port(cloud: Cloud) -> tuple[str, str]:
    """Return a server on a host, and its port."""
    server_id = cloud.server()
    [port] = cloud.db.write(lambda session: ports.bind_ports(
        cloud.db, session, cloud.conf, cloud.context(), server_id=server_id, hostname="vm", requests="auto",
        security_groups=()))
    cloud.db.write(lambda session: ports.set_ports_host(session, server_id, cloud.host_id, "ACTIVE"))
    return server_id, port.id


def test_a_port_is_made_shown_changed_and_deleted(api: Api, network_id: str) -> None:
    port = api.make("port", "ports", network_id=network_id, name="p", dns_name="web")
    assert port["mac_address"].startswith("fa:16:3e:") and port["status"] == "DOWN" and len(port["fixed_ips"]) == 1
    assert len(port["security_groups"]) == 1 and port["device_id"] == "" and port["binding:vnic_type"] == "normal"
    assert port["project_id"] == port["tenant_id"] == ids.bare(DEMO) and "binding:host_id" not in port
    assert port["dns_assignment"][0]["fqdn"] == "web."
    path = f"/v2.0/ports/{port['id']}"
    assert api.call("GET", path)["port"] == port
    assert api.call("GET", path, token=ADMIN)["port"]["binding:vif_type"] == "unbound"
    changed = api.call("PUT", path, {"port": {"name": "q", "device_owner": "me", "device_id": "mine"}})["port"]
    assert (changed["name"], changed["device_id"], changed["revision_number"]) == ("q", "mine", 2)
    api.call("DELETE", path, status=204)
    api.refused("DELETE", path, None, 404, "PortNotFound")


def test_addresses(api: Api, cloud: Cloud, network_id: str) -> None:
    port = api.make("port", "ports", network_id=network_id, fixed_ips=[{"ip_address": "10.0.0.50"}])
    subnet_id = port["fixed_ips"][0]["subnet_id"]
    assert port["fixed_ips"] == [{"subnet_id": subnet_id, "ip_address": "10.0.0.50"}]
    assert api.make("port", "ports", network_id=network_id, fixed_ips=[])["fixed_ips"] == []
    two = api.make("port", "ports", network_id=network_id, fixed_ips=[{"subnet_id": subnet_id}] * 2)
    assert len(two["fixed_ips"]) == 2
    post = {"network_id": network_id, "fixed_ips": [{"ip_address": "10.0.0.50"}]}
    api.refused("POST", "/v2.0/ports", {"port": post}, 409, "IpAddressAlreadyAllocated")
    foreign = cloud.network("10.7.0.0/24")
    with cloud.db.reading():
        elsewhere = api.call("GET", f"/v2.0/subnets?network_id={foreign}")["subnets"][0]["id"]
    for item in ({"ip_address": "10.9.9.9"}, {"ip_address": "10.0.0.255"}, {"ip_address": "10.0.0.2"}, {},
                 {"ip_address": "x1"}, {"subnet_id": elsewhere}, {"colour": "red"}, {"subnet_id": 7}):
        api.call("POST", "/v2.0/ports", {"port": {"network_id": network_id, "fixed_ips": [item]}}, status=400)
    path = f"/v2.0/ports/{port['id']}"
    moved = api.call("PUT", path, {"port": {"fixed_ips": [
        {"ip_address": "10.0.0.50"}, {"ip_address": "10.0.0.60"}]}})["port"]
    assert [item["ip_address"] for item in moved["fixed_ips"]] == ["10.0.0.50", "10.0.0.60"]
    moved = api.call("PUT", path, {"port": {"fixed_ips": [{"subnet_id": subnet_id, "ip_address": "10.0.0.60"}]}})
    assert [item["ip_address"] for item in moved["port"]["fixed_ips"]] == ["10.0.0.60"]
    api.refused("PUT", path, {"port": {"fixed_ips": [{"ip_address": two["fixed_ips"][0]["ip_address"]}]}}, 409,
                "IpAddressAlreadyAllocated")
    assert api.call("GET", path)["port"]["fixed_ips"] == moved["port"]["fixed_ips"]  # nothing was half done


def test_a_full_subnet_says_so(api: Api, cloud: Cloud) -> None:
    network_id = cloud.network("10.3.0.0/29")
    api.call("POST", "/v2.0/ports", {"ports": [{"network_id": network_id}] * 4}, status=201)
    message = api.refused("POST", "/v2.0/ports", {"port": {"network_id": network_id}}, 409,
                          "IpAddressGenerationFailure")
    assert message == f"No more IP addresses available on network {network_id}: 1 wanted, 0 of 4 are free."


def test_filters(api: Api, network_id: str) -> None:
    port = api.make("port", "ports", network_id=network_id, fixed_ips=[{"ip_address": "10.0.0.50"}], device_id="d")
    other = api.make("port", "ports", network_id=network_id)
    subnet_id, group_id = port["fixed_ips"][0]["subnet_id"], port["security_groups"][0]
    for query, wanted in (
            ("fixed_ips=ip_address%3D10.0.0.50", {port["id"]}),
            (f"fixed_ips=ip_address%3D10.0.0.50&fixed_ips=subnet_id%3D{subnet_id}", {port["id"]}),
            (f"fixed_ips=subnet_id%3D{subnet_id}", {port["id"], other["id"]}),
            ("fixed_ips=ip_address_substr%3D0.0.50", {port["id"]}), ("device_id=d", {port["id"]}),
            (f"device_id={port['id']}&device_id=d", {port["id"]}),
            (f"network_id={ids.bare(network_id)}", {port["id"], other["id"]}),
            (f"mac_address={port['mac_address'].upper()}", {port["id"]}),
            (f"security_groups={group_id}", {port["id"], other["id"]}), ("status=ACTIVE", set()),
            (f"id={port['id']}&id={other['id']}", {port["id"], other["id"]})):
        assert {item["id"] for item in api.call("GET", f"/v2.0/ports?{query}")["ports"]} == wanted, query
    answer = api.call("GET", "/v2.0/ports?fields=id&fields=name&fields=mac_address&fields=fixed_ips&fields=status")
    assert set(answer["ports"][0]) == {"id", "name", "mac_address", "fixed_ips", "status"}
    api.call("GET", "/v2.0/ports?fixed_ips=colour%3Dred", status=400)
    api.call("GET", "/v2.0/ports?binding:host_id=host1", status=400)
    assert api.call("GET", "/v2.0/ports?binding:host_id=host1", token=ADMIN) == {"ports": []}


def test_security_of_a_port(api: Api, network_id: str) -> None:
    group = api.make("security_group", "security-groups", name="web")
    path = f"/v2.0/ports/{api.make('port', 'ports', network_id=network_id, security_groups=[group['id']])['id']}"
    assert api.call("GET", path)["port"]["security_groups"] == [group["id"]]
    api.refused("PUT", path, {"port": {"port_security_enabled": False}}, 409, "PortSecurityPortHasSecurityGroup")
    free = api.call("PUT", path, {"port": {"port_security_enabled": False, "security_groups": []}})["port"]
    assert free["security_groups"] == [] and free["port_security_enabled"] is False
    api.call("PUT", path, {"port": {"security_groups": [group["id"]]}}, status=400)
    pairs = [{"ip_address": "10.0.0.99"}, {"ip_address": "10.8.0.0/16", "mac_address": "FA:16:3E:00:00:01"}]
    api.refused("PUT", path, {"port": {"allowed_address_pairs": pairs}}, 409, "AddressPairAndPortSecurityRequired")
    paired = api.call("PUT", path, {"port": {"port_security_enabled": True, "allowed_address_pairs": pairs}})["port"]
    assert paired["allowed_address_pairs"] == [
        {"ip_address": "10.0.0.99", "mac_address": paired["mac_address"]},
        {"ip_address": "10.8.0.0/16", "mac_address": "fa:16:3e:00:00:01"}]
    api.refused("PUT", path, {"port": {"port_security_enabled": False}}, 409, "AddressPairAndPortSecurityRequired")
    for pair in ({"ip_address": "x1"}, {"mac_address": "fa:16:3e:00:00:01"}, {"ip_address": "10.0.0.1",
                                                                             "mac_address": "zz"}):
        api.call("PUT", path, {"port": {"allowed_address_pairs": [pair]}}, status=400)


def test_groups_of_another_project_are_not_there(api: Api, network_id: str) -> None:
    foreign = api.make("security_group", "security-groups", name="web", token=OTHERS)["id"]
    body = {"port": {"network_id": network_id, "security_groups": [foreign]}}
    api.refused("POST", "/v2.0/ports", body, 404, "SecurityGroupNotFound")


def test_hardware_addresses(api: Api, network_id: str) -> None:
    mac = "fa:16:3e:aa:bb:cc"
    first = api.make("port", "ports", network_id=network_id, mac_address=mac.upper())
    assert first["mac_address"] == mac
    body = {"port": {"network_id": network_id, "mac_address": mac}}
    api.refused("POST", "/v2.0/ports", body, 409, "MacAddressInUse")
    second = api.make("port", "ports", network_id=network_id)
    api.refused("PUT", f"/v2.0/ports/{second['id']}", {"port": {"mac_address": mac}}, 409, "MacAddressInUse")
    for wrong in ("x1", "01:00:00:00:00:01", "fa:16:3e:aa:bb"):
        body["port"]["mac_address"] = wrong
        api.refused("POST", "/v2.0/ports", body, 400, "InvalidInput")


def test_guests_on_a_shared_network_have_fewer_rights(api: Api, cloud: Cloud) -> None:
    network_id = cloud.network("10.5.0.0/24", shared=True)
    port = api.make("port", "ports", network_id=network_id, token=OTHERS)
    for values in ({"mac_address": "fa:16:3e:00:00:09"}, {"port_security_enabled": False},
                   {"allowed_address_pairs": [{"ip_address": "10.5.0.9"}]}, {"device_owner": "network:dhcp"}):
        api.refused("PUT", f"/v2.0/ports/{port['id']}", {"port": values}, 403, "PolicyNotAuthorized", token=OTHERS)
    gateway = {"network_id": network_id, "fixed_ips": [{"ip_address": "10.5.0.1"}]}
    api.call("POST", "/v2.0/ports", {"port": gateway}, token=OTHERS, status=400)
    api.call("POST", "/v2.0/ports", {"port": gateway}, status=201)  # the owner may run a router there
    assert port["id"] in {item["id"] for item in api.call("GET", "/v2.0/ports")["ports"]}  # seen by the network's owner
    api.refused("PUT", f"/v2.0/networks/{network_id}", {"network": {"shared": False}}, 409, "InvalidSharedSetting",
                token=ADMIN)
    # As in the reference, whose rule is `admin_owner_or_network_owner`.
    api.call("DELETE", f"/v2.0/ports/{port['id']}", status=204)


def test_what_no_agent_can_do_is_said(api: Api, network_id: str) -> None:
    api.call("POST", "/v2.0/ports", {"port": {"network_id": network_id, "binding:vnic_type": "direct"}}, token=ADMIN,
             status=501)


def test_administrators_say_where_a_port_is_bound(api: Api, network_id: str) -> None:
    said = {"binding:host_id": "elsewhere", "binding:profile": {"a": [1]}}
    made = api.make("port", "ports", ADMIN, network_id=network_id, **said)
    assert {**said, "binding:vif_type": "unbound", "binding:vif_details": {}}.items() <= made.items()
    path = f"/v2.0/ports/{made['id']}"
    assert "binding:host_id" not in api.call("GET", path)["port"]
    for host, found in (("elsewhere", 1), ("nowhere", 0)):
        assert len(api.call("GET", f"/v2.0/ports?binding:host_id={host}", token=ADMIN)["ports"]) == found
    for wrong in ({"binding:host_id": "x"}, {"binding:profile": {}}, {"binding:host_id": None}):
        api.refused("PUT", path, {"port": wrong}, 403, "PolicyNotAuthorized")
        if all(wrong.values()):
            api.refused("POST", "/v2.0/ports", {"port": {"network_id": network_id, **wrong}}, 403,
                        "PolicyNotAuthorized")
    for wrong in ({"binding:profile": {"a": "x" * 5000}}, {"binding:profile": "x"}, {"binding:host_id": 5}):
        api.call("PUT", path, {"port": wrong}, token=ADMIN, status=400)
    bare = api.call("PUT", path, {"port": {"binding:host_id": "", "binding:profile": None}}, token=ADMIN)["port"]
    assert (bare["binding:host_id"], bare["binding:profile"]) == ("", {})


def test_a_servers_port_stays_with_it(api: Api, cloud: Cloud, network_id: str) -> None:
    server_id, port_id = server_with_port(cloud)
    path = f"/v2.0/ports/{port_id}"
    assert f"in use by server {server_id}" in api.refused("DELETE", path, None, 409, "PortInUse")
    api.refused("PUT", path, {"port": {"device_id": ""}}, 409, "PortInUse")
    api.refused("PUT", path, {"port": {"binding:host_id": "elsewhere"}}, 409, "PortInUse", token=ADMIN)
    api.call("PUT", path, {"port": {"binding:host_id": "host1", "binding:profile": {"b": 2}}}, token=ADMIN)
    shown = api.call("GET", path, token=ADMIN)["port"]
    assert shown["binding:profile"] == {"b": 2}
    assert (shown["binding:host_id"], shown["status"], shown["device_owner"]) == ("host1", "ACTIVE", "compute:nova")
    assert len(api.call("GET", f"/v2.0/ports?device_id={ids.bare(server_id)}")["ports"]) == 1
    api.refused("DELETE", f"/v2.0/networks/{network_id}", None, 409, "NetworkInUse")


def test_the_host_hears_of_changes(api: Api, cloud: Cloud, network_id: str) -> None:
    _, port_id = server_with_port(cloud)
    path = f"/v2.0/ports/{port_id}"
    api.call("PUT", path, {"port": {"name": "only for people"}})
    assert not api.wakes.operation_ids
    group = api.make("security_group", "security-groups", name="web")
    api.call("PUT", path, {"port": {"security_groups": [group["id"]]}})
    api.call("PUT", path, {"port": {"fixed_ips": [{"ip_address": "10.0.0.99"}]}})
    with cloud.db.reading() as session:
        found = [session.get_one(Operation, operation_id) for operation_id in api.wakes.operation_ids]
    assert [(item.kind, item.arguments) for item in found] == [
        ("network.apply_rules", {"port_ids": [port_id]}), ("network.apply_rules", {"port_ids": [port_id]}),
        ("network.update", {"network_id": network_id})]
