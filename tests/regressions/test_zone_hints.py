"""Hints of availability zones were refused of networks, and DNS names kept the case they were sent in."""

from __future__ import annotations

from typing import Any

from tests.harness.network_rest import ADMIN, Api


def test_hints_of_zones_are_kept(network_api: Api) -> None:
    network = network_api.make("network", "networks", name="n", availability_zone_hints=["nova"])
    assert network["availability_zone_hints"] == ["nova"] and network["availability_zones"] == []
    path = f"/v2.0/networks/{network['id']}"
    assert network_api.call("GET", path)["network"] == network
    network_api.call("PUT", path, {"network": {"availability_zone_hints": []}}, status=400)
    assert network_api.make("network", "networks", name="n")["availability_zone_hints"] == []


def test_hints_name_zones_that_exist(network_api: Api) -> None:
    def refused(hints: Any, status: int, kind: str) -> None:
        network_api.refused("POST", "/v2.0/networks", {"network": {"availability_zone_hints": hints}}, status, kind,
                            token=ADMIN)
    refused(["absent"], 404, "AvailabilityZoneNotFound")
    for bad in ("nova", [1], [""], ["nova", "nova"], {"nova": 1}):
        refused(bad, 400, "InvalidInput")


def test_dns_names_have_no_case(network_api: Api) -> None:
    network = network_api.make("network", "networks", name="n", dns_domain="Example.ORG.")
    assert network["dns_domain"] == "example.org."
    assert network_api.make("port", "ports", network_id=network["id"], dns_name="WWW")["dns_name"] == "www"
