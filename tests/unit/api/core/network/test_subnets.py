"""Subnets: what blocks, gateways, pools and routes are taken, and how hosts follow changes."""

from __future__ import annotations

from typing import Any

import pytest

from hostler import ids
from hostler.db.models import Operation
from hostler.resources.network import ports
from tests.harness.network_core import Cloud
from tests.harness.network_rest import ADMIN, OTHERS, Api


@pytest.fixture
def api(cloud: Cloud) -> Api:
    """Return the Network API over the cloud."""
    return Api(cloud)


@pytest.fixture
def network_id(api: Api) -> str:
    """Return a network without subnets."""
    return str(api.make("network", "networks")["id"])


def make(api: Api, network_id: str, cidr: str = "10.0.0.0/24", **values: Any) -> dict[str, Any]:
    return api.make("subnet", "subnets", network_id=network_id, ip_version=4, cidr=cidr, **values)


def test_defaults(api: Api, network_id: str) -> None:
    subnet = make(api, network_id, name="s")
    assert subnet["gateway_ip"] == "10.0.0.1" and subnet["enable_dhcp"] is True and subnet["subnetpool_id"] is None
    assert subnet["allocation_pools"] == [{"start": "10.0.0.2", "end": "10.0.0.254"}]
    assert api.call("GET", f"/v2.0/networks/{network_id}")["network"]["subnets"] == [subnet["id"]]
    assert api.call("GET", "/v2.0/subnets?cidr=10.0.0.0/24&ip_version=4&shared=False")["subnets"] == [subnet]
    assert api.call("GET", f"/v2.0/subnets?network_id={network_id}&gateway_ip=10.0.0.9")["subnets"] == []


def test_a_null_gateway_stays_null_and_a_named_one_splits_the_pool(api: Api, network_id: str) -> None:
    assert make(api, network_id, "10.1.0.0/24", gateway_ip=None)["allocation_pools"] == [
        {"start": "10.1.0.1", "end": "10.1.0.254"}]
    assert make(api, network_id, "10.2.0.0/24", gateway_ip="10.2.0.100")["allocation_pools"] == [
        {"start": "10.2.0.1", "end": "10.2.0.99"}, {"start": "10.2.0.101", "end": "10.2.0.254"}]


@pytest.mark.parametrize(("values", "status"), [
    ({"cidr": "10.0.0.0/255.255.255.0"}, 400), ({"cidr": "10.0.0.0"}, 400), ({"cidr": "nonsense"}, 400),
    ({"cidr": "fd00::/64"}, 400), ({"cidr": None}, 400),
    ({"cidr": "224.0.0.0/24"}, 400), ({"cidr": "0.0.0.0/0"}, 400), ({"cidr": "169.254.1.0/24"}, 400),
    ({"ip_version": 5}, 400), ({"gateway_ip": "10.9.0.1"}, 400), ({"gateway_ip": "10.0.0.0"}, 400),
    ({"gateway_ip": "x1"}, 400), ({"allocation_pools": [{"start": "10.0.0.9", "end": "10.0.0.5"}]}, 400),
    ({"allocation_pools": [{"start": "10.0.0.5"}]}, 400), ({"allocation_pools": [{"start": "a1", "end": "b1"}]}, 400),
    ({"allocation_pools": [{"start": "10.0.0.5", "end": "10.0.1.9"}]}, 409),
    ({"allocation_pools": [{"start": "10.0.0.1", "end": "10.0.0.9"}]}, 409),
    ({"allocation_pools": [{"start": "10.0.0.5", "end": "10.0.0.9"}, {"start": "10.0.0.9", "end": "10.0.0.12"}]}, 409),
    ({"dns_nameservers": ["fe80::1%a\nb"]}, 400),
    ({"dns_nameservers": ["nope"]}, 400), ({"dns_nameservers": ["1.1.1.1"] * 2}, 400),
    ({"host_routes": [{"destination": "10.1.0.0/16", "nexthop": "x1"}]}, 400), ({"subnetpool_id": "x"}, 400),
    ({"ipv6_ra_mode": "slaac"}, 400), ({"network_id": "absent"}, 400), ({"network_id": ids.new_id()}, 404),
    ({"cidr": "fd00::/64", "ip_version": 6, "enable_dhcp": False, "ipv6_ra_mode": "slaac"}, 400),
])
def test_what_is_refused(api: Api, network_id: str, values: dict[str, Any], status: int) -> None:
    body = {"subnet": {"network_id": network_id, "ip_version": 4, "cidr": "10.0.0.0/24", **values}}
    assert api.call("POST", "/v2.0/subnets", body, status=status)["NeutronError"]["message"]


def test_ipv6_without_dhcp_is_kept_and_gives_addresses(api: Api, network_id: str) -> None:
    make(api, network_id)
    api.make("subnet", "subnets", network_id=network_id, ip_version=6, cidr="fd00:1::/64", enable_dhcp=False)
    port = api.make("port", "ports", network_id=network_id)
    assert sorted(":" in item["ip_address"] for item in port["fixed_ips"]) == [False, True]


def test_overlap_on_the_same_network_is_refused(api: Api, network_id: str) -> None:
    make(api, network_id)
    body = {"subnet": {"network_id": network_id, "ip_version": 4, "cidr": "10.0.0.128/25"}}
    assert "overlaps with another subnet" in api.refused("POST", "/v2.0/subnets", body, 400, "InvalidInput")
    make(api, str(api.make("network", "networks")["id"]))


def test_only_the_networks_owner_adds_subnets(api: Api) -> None:
    shared = api.make("network", "networks", token=ADMIN, shared=True)["id"]
    body = {"subnet": {"network_id": shared, "ip_version": 4, "cidr": "10.0.0.0/24"}}
    api.refused("POST", "/v2.0/subnets", body, 403, "PolicyNotAuthorized", token=OTHERS)
    private = api.make("network", "networks")["id"]
    body["subnet"]["network_id"] = private
    api.refused("POST", "/v2.0/subnets", body, 404, "NetworkNotFound", token=OTHERS)


def test_changes(api: Api, network_id: str) -> None:
    path = f"/v2.0/subnets/{make(api, network_id)['id']}"
    changed = api.call("PUT", path, {"subnet": {
        "dns_nameservers": ["9.9.9.9"], "host_routes": [{"destination": "10.5.0.0/16", "nexthop": "10.0.0.9"}],
        "allocation_pools": [{"start": "10.0.0.100", "end": "10.0.0.110"}], "gateway_ip": None}})["subnet"]
    assert (changed["dns_nameservers"], changed["gateway_ip"], changed["revision_number"]) == (["9.9.9.9"], None, 2)
    assert api.call("PUT", path, {"subnet": {"enable_dhcp": False}})["subnet"]["enable_dhcp"] is False
    assert api.call("PUT", path, {"subnet": {"enable_dhcp": True}})["subnet"]["enable_dhcp"] is True
    api.refused("PUT", path, {"subnet": {"gateway_ip": "10.0.0.105"}}, 409, "GatewayConflictWithAllocationPools")
    assert "read-only" in api.refused("PUT", path, {"subnet": {"cidr": "10.1.0.0/24"}}, 400, "HTTPBadRequest")
    address = {"fixed_ips": [{"ip_address": "10.0.0.50"}]}
    api.make("port", "ports", network_id=network_id, **address)
    api.refused("PUT", path, {"subnet": {"gateway_ip": "10.0.0.50"}}, 409, "GatewayIpInUse")


def test_in_use(api: Api, network_id: str) -> None:
    subnet, port = make(api, network_id), api.make("port", "ports", network_id=network_id)
    api.refused("DELETE", f"/v2.0/subnets/{subnet['id']}", None, 409, "SubnetInUse")
    api.refused("DELETE", f"/v2.0/networks/{network_id}", None, 409, "NetworkInUse")
    api.call("DELETE", f"/v2.0/ports/{port['id']}", status=204)
    api.call("DELETE", f"/v2.0/networks/{network_id}", status=204)
    api.refused("GET", f"/v2.0/subnets/{subnet['id']}", None, 404, "SubnetNotFound")


def test_hosts_with_ports_on_the_network_hear_of_changes(api: Api, cloud: Cloud, network_id: str) -> None:
    path = f"/v2.0/subnets/{make(api, network_id)['id']}"
    api.call("PUT", path, {"subnet": {"dns_nameservers": ["9.9.9.9"]}})
    assert api.wakes.operation_ids == []  # no port is on a host
    server_id = cloud.server()
    cloud.db.write(lambda session: ports.bind_ports(
        cloud.db, session, cloud.conf, cloud.context(), server_id=server_id, hostname="vm", requests="auto",
        security_groups=()))
    cloud.db.write(lambda session: ports.set_ports_host(session, server_id, cloud.host_id, "ACTIVE"))
    api.call("PUT", path, {"subnet": {"name": "new"}})
    assert api.wakes.operation_ids == []  # guests don't notice
    api.call("PUT", path, {"subnet": {"dns_nameservers": ["8.8.8.8"]}})
    api.call("PUT", f"/v2.0/networks/{network_id}", {"network": {"mtu": 1400}})
    with cloud.db.reading() as session:
        operation = session.get_one(Operation, api.wakes.operation_ids[0])
    assert (operation.kind, operation.arguments) == ("network.update", {"network_id": network_id})
    assert len(set(api.wakes.operation_ids)) == 1
