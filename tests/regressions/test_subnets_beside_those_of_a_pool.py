"""A network whose subnets are of a pool took a subnet of none, which the reference refuses.

And an empty list of allocation pools left a new subnet without addresses; the reference takes it for the default.
"""

from __future__ import annotations

from typing import Any

from tests.harness.network_rest import Api


def subnet(api: Api, network_id: str, cidr: str, **more: Any) -> dict[str, Any]:
    made = api.make("subnet", "subnets", network_id=network_id, cidr=cidr, **{"ip_version": 4, **more})
    return dict(made)


def test_subnets_of_one_network_are_of_one_pool_or_of_none(network_api: Api) -> None:
    network = network_api.make("network", "networks", name="pooled")["id"]
    pool = network_api.make("subnetpool", "subnetpools", name="p", prefixes=["10.200.0.0/16"], default_prefixlen=24)
    subnet(network_api, network, "10.200.1.0/24", subnetpool_id=pool["id"])
    network_api.refused("POST", "/v2.0/subnets", {"subnet": {"network_id": network, "ip_version": 4,
                                                            "cidr": "10.77.0.0/24"}}, 400, "HTTPBadRequest")
    subnet(network_api, network, "fd00:77::/64", ip_version=6)  # pools of the other version are none of its concern
    subnet(network_api, network, "10.200.2.0/24", subnetpool_id=pool["id"])


def test_no_allocation_pools_are_the_default_ones(network_api: Api) -> None:
    network = network_api.make("network", "networks", name="unpooled")["id"]
    made = subnet(network_api, network, "10.78.0.0/24", allocation_pools=[])
    assert made["allocation_pools"] == [{"start": "10.78.0.2", "end": "10.78.0.254"}]
