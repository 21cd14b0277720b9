"""What a router's namespace translates and refuses."""

from __future__ import annotations

from compute.network.router_rules import HostRouter, render
from hostler.resources.server.specs import FloatingIpSpec, RouterPortSpec, RouterSpec
from tests.harness.network_factories import network

INNER = RouterPortSpec(id="a" * 32, mac_address="fa:16:3e:00:00:01", network=network(), addresses=("10.0.0.1/24",))
GATEWAY = RouterPortSpec(id="b" * 32, mac_address="fa:16:3e:00:00:02", network=network())
OWN = {"one": {"mac": "fa:16:3e:00:00:03", "address": "203.0.113.7/24"}}
FLOATING = FloatingIpSpec(address="203.0.113.5", fixed_ip_address="10.0.0.5", router_id="r")
DEVICE = f'oifname "hrn{"b" * 11}"'


def rules(*floating: FloatingIpSpec, **values: object) -> str:
    router = RouterSpec(**{"id": "r", "interfaces": (INNER,), "gateway": GATEWAY, **values})  # type: ignore[arg-type]
    return render(HostRouter(router, "one", floating))


def test_without_a_gateway_nothing_is_translated() -> None:
    assert "nat" not in rules(gateway=None)


def test_guests_leave_from_their_floating_ip_or_the_hosts_address() -> None:
    script = rules(FLOATING, outside=OWN)
    assert f"{DEVICE} snat to ip saddr map {{ 10.0.0.5 : 203.0.113.5 }}" in script
    assert f"{DEVICE} ip saddr != 203.0.113.7 snat to 203.0.113.7" in script
    assert "dnat to ip daddr map { 203.0.113.5 : 10.0.0.5 }" in script


def test_without_an_address_only_floating_ips_leave() -> None:
    assert f"{DEVICE} ct direction original ip saddr != {{ 10.0.0.5 }} drop" in rules(FLOATING)
    assert f"{DEVICE} ct direction original drop" in rules()


def test_a_router_without_snat_lets_addresses_through_as_they_are() -> None:
    script = rules(outside=OWN, snat=False)
    assert "snat to" not in script and "ct state new" not in script
