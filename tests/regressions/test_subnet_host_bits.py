"""A subnet's block with host bits set was refused; the reference takes the block it lies in."""

from __future__ import annotations

import pytest

from tests.harness.network_rest import Api


@pytest.mark.parametrize(("given", "kept", "gateway"), [
    ("10.7.0.9/24", "10.7.0.0/24", "10.7.0.1"), ("10.8.255.255/16", "10.8.0.0/16", "10.8.0.1"),
    ("FD00:0:0:1::5/64", "fd00:0:0:1::/64", "fd00:0:0:1::1")])
def test_host_bits_are_dropped(network_api: Api, given: str, kept: str, gateway: str) -> None:
    network_id = network_api.make("network", "networks", name="n")["id"]
    version = 6 if ":" in given else 4
    subnet = network_api.make("subnet", "subnets", network_id=network_id, cidr=given, ip_version=version,
                              enable_dhcp=version == 4)
    assert (subnet["cidr"], subnet["gateway_ip"]) == (kept, gateway)
    body = {"subnet": {"network_id": network_id, "cidr": kept, "ip_version": version, "enable_dhcp": version == 4}}
    network_api.refused("POST", "/v2.0/subnets", body, 400, "InvalidInput")


@pytest.mark.parametrize("cidr", ["10.9.0.0", "10.9.0.0/255.255.255.0", "10.9.0.0/0.0.0.255", "10.9/16", " 10.9.0.0/24",
                                  "10.9.0.0/33", "10.9.0.0/", "fe80::1%eth0/64"])
def test_what_is_no_block_is_still_refused(network_api: Api, cidr: str) -> None:
    network_id = network_api.make("network", "networks", name="n")["id"]
    body = {"subnet": {"network_id": network_id, "cidr": cidr, "ip_version": 6 if ":" in cidr else 4}}
    network_api.refused("POST", "/v2.0/subnets", body, 400, "InvalidInput")


def test_ipv6_texts_are_canonical(network_api: Api) -> None:
    network_id = network_api.make("network", "networks", name="n")["id"]
    subnet = network_api.make(
        "subnet", "subnets", network_id=network_id, ip_version=6, enable_dhcp=False, cidr="2001:DB8:0:0::/64",
        gateway_ip="2001:DB8::00FE", allocation_pools=[{"start": "2001:DB8:0::100", "end": "2001:0db8::00ff:FF"}])
    assert subnet["gateway_ip"] == "2001:db8::fe" and subnet["cidr"] == "2001:db8::/64"
    assert subnet["allocation_pools"] == [{"start": "2001:db8::100", "end": "2001:db8::ff:ff"}]
    port = network_api.make("port", "ports", network_id=network_id,
                            fixed_ips=[{"ip_address": "2001:DB8:0:0:0::0042"}],
                            allowed_address_pairs=[{"ip_address": "2001:DB8::0/120"}])
    assert port["fixed_ips"][0]["ip_address"] == "2001:db8::42"
    assert port["allowed_address_pairs"][0]["ip_address"] == "2001:db8::/120"
    found = network_api.call("GET", "/v2.0/ports", params={"fixed_ips": "ip_address=2001:DB8::0042"})["ports"]
    assert [item["id"] for item in found] == [port["id"]]
