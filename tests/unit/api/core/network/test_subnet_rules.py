"""IPv6 subnets: which modes go together, and what addresses ports get in each."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import sqlalchemy as sa

from hostler.db.models import Operation, Port, SecurityGroup
from hostler.resources.network import ports
from tests.harness.network_core import Cloud
from tests.harness.network_rest import ADMIN, Api

MAC = "fa:16:3e:12:34:56"
FORMED = "f816:3eff:fe12:3456"
MODES = ("slaac", "dhcpv6-stateful", "dhcpv6-stateless")


@pytest.fixture
def api(cloud: Cloud) -> Api:
    """Return the Network API over the cloud."""
    return Api(cloud)


@pytest.fixture
def network_id(api: Api) -> str:
    """Return a network without subnets."""
    return str(api.make("network", "networks")["id"])


def make(api: Api, network_id: str, cidr: str = "fd00::/64", **values: Any) -> dict[str, Any]:
    return api.make("subnet", "subnets", network_id=network_id, ip_version=6, cidr=cidr, **values)


def automatic(api: Api, network_id: str, cidr: str = "fd00::/64", mode: str = "slaac") -> dict[str, Any]:
    return make(api, network_id, cidr, ipv6_ra_mode=mode, ipv6_address_mode=mode)


def addresses(port: dict[str, Any]) -> list[str]:
    return sorted(item["ip_address"] for item in port["fixed_ips"])


def new_port(api: Api, network_id: str, **values: Any) -> dict[str, Any]:
    return api.make("port", "ports", token=ADMIN, network_id=network_id, **values)


def test_modes_are_kept_shown_and_searched(api: Api, network_id: str) -> None:
    both = ("ipv6_ra_mode", "ipv6_address_mode")
    made = {(fields, mode): make(api, network_id, f"fd00:{number}::/64", **dict.fromkeys(fields, mode))
            for number, (fields, mode) in enumerate(itertools.product((both[:1], both[1:], both), MODES), start=1)}
    for (fields, mode), subnet in made.items():
        assert {name: subnet[name] for name in both} == {**dict.fromkeys(both), **dict.fromkeys(fields, mode)}
        block = subnet["cidr"].removesuffix("/64")
        assert subnet["gateway_ip"] == f"{block}1" and subnet["enable_dhcp"] is True
        assert subnet["allocation_pools"] == [{"start": f"{block}2", "end": f"{block}ffff:ffff:ffff:ffff"}]
    for field, mode in itertools.product(both, MODES):
        listed = api.call("GET", f"/v2.0/subnets?{field}={mode}")["subnets"]
        assert {subnet["id"] for subnet in listed} == {
            subnet["id"] for (fields, each), subnet in made.items() if each == mode and field in fields}


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"ipv6_ra_mode": "slaac", "ipv6_address_mode": "dhcpv6-stateful"}, "they must be the same value"),
    ({"ipv6_ra_mode": "slaac", "enable_dhcp": False}, "cannot be set when enable_dhcp is set to False"),
    ({"ipv6_address_mode": "slaac", "cidr": "fd00::/60"}, "requires the prefix to be /64"),
    ({"ipv6_ra_mode": "dhcpv6-stateless", "cidr": "fd00::/80"}, "requires the prefix to be /64"),
    ({"cidr": "fd00::/127"}, "incompatible with DHCP service"),
    ({"cidr": "10.0.0.0/24", "ip_version": 4, "ipv6_ra_mode": "slaac"}, "ipv6_ra_mode is not valid when ip_version"),
    ({"cidr": "10.0.0.0/24", "ip_version": 4, "ipv6_address_mode": "slaac"}, "ipv6_address_mode is not valid"),
    ({"gateway_ip": "fd01::1"}, "not in the subnet"), ({"gateway_ip": "169.254.0.1"}, "not in the subnet"),
]


def test_what_does_not_go_together_is_refused(api: Api, network_id: str) -> None:
    for values, message in WRONG:
        body = {"subnet": {"network_id": network_id, "ip_version": 6, "cidr": "fd00::/64", **values}}
        assert message in api.refused("POST", "/v2.0/subnets", body, 400, "InvalidInput"), values


def test_ports_form_their_address_and_nobody_chooses_it(api: Api, network_id: str) -> None:
    subnet = automatic(api, network_id)
    assert addresses(new_port(api, network_id, mac_address=MAC)) == [f"fd00::{FORMED}"]
    named = {"port": {"network_id": network_id, "fixed_ips": [{"subnet_id": subnet["id"], "ip_address": "fd00::9"}]}}
    message = api.refused("POST", "/v2.0/ports", named, 400, "AllocationOnAutoAddressSubnet")
    assert message == (f"IPv6 address fd00::9 cannot be directly assigned to a port on subnet {subnet['id']} as the "
                       "subnet is configured for automatic addresses")
    by_subnet = new_port(api, network_id, fixed_ips=[{"subnet_id": subnet["id"]}])
    assert len(by_subnet["fixed_ips"]) == 1, "naming the subnet adds nothing"


def test_a_port_has_one_address_of_each_kind_and_what_it_names(api: Api, network_id: str) -> None:
    api.make("subnet", "subnets", network_id=network_id, ip_version=4, cidr="10.0.0.0/24")
    make(api, network_id, "fd01::/64", ipv6_ra_mode="dhcpv6-stateful", ipv6_address_mode="dhcpv6-stateful")
    automatic(api, network_id, "fd02::/64")
    automatic(api, network_id, "fd03::/64", "dhcpv6-stateless")
    both = addresses(new_port(api, network_id, mac_address=MAC))
    assert len(both) == 4 and {f"fd02::{FORMED}", f"fd03::{FORMED}"} < set(both)
    assert [text.startswith("10.0.0.") for text in both].count(True) == 1
    assert [text.startswith("fd01::") for text in both].count(True) == 1
    named = addresses(new_port(api, network_id, fixed_ips=[{"ip_address": "fd01::7"}]))
    assert "fd01::7" in named and len(named) == 3, "no IPv4 address was named"


def test_automatic_addresses_come_and_go_with_their_subnet(api: Api, cloud: Cloud, network_id: str) -> None:
    api.make("subnet", "subnets", network_id=network_id, ip_version=4, cidr="10.0.0.0/24")
    earlier = new_port(api, network_id, mac_address=MAC)
    router = new_port(api, network_id, device_owner="network:router_interface")
    subnet = automatic(api, network_id)
    path = f"/v2.0/ports/{earlier['id']}"
    shown = api.call("GET", path)["port"]
    assert addresses(shown) == [*addresses(earlier), f"fd00::{FORMED}"]
    assert shown["revision_number"] > earlier["revision_number"]
    assert addresses(api.call("GET", f"/v2.0/ports/{router['id']}")["port"]) == addresses(router)
    api.call("DELETE", f"/v2.0/subnets/{subnet['id']}", status=204)
    assert addresses(api.call("GET", path)["port"]) == addresses(earlier)


def test_hosts_and_groups_hear_of_automatic_addresses(api: Api, cloud: Cloud, network_id: str) -> None:
    api.make("subnet", "subnets", network_id=network_id, ip_version=4, cidr="10.0.0.0/24")
    server_id = cloud.server()
    cloud.db.write(lambda session: ports.bind_ports(
        cloud.db, session, cloud.conf, cloud.context(), server_id=server_id, hostname="vm", requests="auto",
        security_groups=()))
    cloud.db.write(lambda session: ports.set_ports_host(session, server_id, cloud.host_id, "ACTIVE"))

    def revisions() -> tuple[int, int]:
        with cloud.db.reading() as session:
            return (session.scalars(sa.select(Port.spec_revision).where(Port.server_id == server_id)).one(),
                    session.scalars(sa.select(sa.func.max(SecurityGroup.members_revision))).one())

    before = revisions()
    subnet = automatic(api, network_id)
    after = revisions()
    assert after > before and after[1] > before[1]
    with cloud.db.reading() as session:
        kinds = {session.get_one(Operation, operation_id).kind for operation_id in api.wakes.operation_ids}
    assert "network.update" in kinds
    api.call("DELETE", f"/v2.0/subnets/{subnet['id']}", status=204)
    assert revisions()[1] > after[1]


def test_automatic_addresses_outlive_a_change_of_the_others(api: Api, network_id: str) -> None:
    api.make("subnet", "subnets", network_id=network_id, ip_version=4, cidr="10.0.0.0/24")
    subnet = automatic(api, network_id)
    port = new_port(api, network_id, mac_address=MAC)
    path, formed = f"/v2.0/ports/{port['id']}", f"fd00::{FORMED}"
    held = {"subnet_id": subnet["id"], "ip_address": formed}
    chosen = {"ip_address": "10.0.0.50"}
    for wanted in ([chosen], [chosen, held], [held, chosen]):
        assert addresses(api.call("PUT", path, {"port": {"fixed_ips": wanted}})["port"]) == ["10.0.0.50", formed]
    assert addresses(api.call("PUT", path, {"port": {"fixed_ips": []}})["port"]) == [formed]
    api.refused("PUT", path, {"port": {"fixed_ips": [{"ip_address": "fd00::9"}]}}, 400,
                "AllocationOnAutoAddressSubnet")


def test_another_mac_forms_another_address(api: Api, network_id: str) -> None:
    automatic(api, network_id)
    port = new_port(api, network_id, mac_address="fa:16:3e:00:00:01")
    changed = api.call("PUT", f"/v2.0/ports/{port['id']}", {"port": {"mac_address": MAC}}, token=ADMIN)["port"]
    assert addresses(changed) == [f"fd00::{FORMED}"]


def test_a_router_may_be_known_by_its_link_local_address(api: Api, network_id: str) -> None:
    subnet = make(api, network_id, gateway_ip="fe80::1", dns_nameservers=["fd00::53", "2001:DB8::53"],
                  host_routes=[{"destination": "fd09::/64", "nexthop": "fd00::9"}])
    assert subnet["gateway_ip"] == "fe80::1" and subnet["dns_nameservers"] == ["fd00::53", "2001:db8::53"]
    assert subnet["allocation_pools"] == [{"start": "fd00::1", "end": "fd00::ffff:ffff:ffff:ffff"}]
    changed = api.call("PUT", f"/v2.0/subnets/{subnet['id']}", {"subnet": {"gateway_ip": "fe80::2"}})["subnet"]
    assert changed["gateway_ip"] == "fe80::2"


def test_dhcp_stays_on_while_modes_are_set(api: Api, network_id: str) -> None:
    path = f"/v2.0/subnets/{automatic(api, network_id)['id']}"
    api.refused("PUT", path, {"subnet": {"enable_dhcp": False}}, 400, "InvalidInput")
    plain = f"/v2.0/subnets/{make(api, network_id, 'fd01::/64')['id']}"
    for enabled in (False, True):
        assert api.call("PUT", plain, {"subnet": {"enable_dhcp": enabled}})["subnet"]["enable_dhcp"] is enabled


def test_addresses_of_any_pool(api: Api) -> None:
    for prefix in (3, 32, 64, 65, 112, 125, 126):
        network_id = api.make("network", "networks")["id"]
        make(api, network_id, f"2000::/{prefix}")
        room = min(5, 2 ** (128 - prefix) - 3)  # without the network's, gateway's and DHCP server's addresses
        made = {addresses(new_port(api, network_id))[0] for _ in range(room)}
        assert len(made) == room, prefix
        if prefix >= 125:
            body = {"port": {"network_id": network_id}}
            api.refused("POST", "/v2.0/ports", body, 409, "IpAddressGenerationFailure")
