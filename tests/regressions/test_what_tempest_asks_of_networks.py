"""What Tempest's tests of the Network API found: each is as the reference does it."""

from __future__ import annotations

import pytest

from tests.harness.network_rest import ADMIN, OTHERS, Api, external_network, network_with_subnet


def test_an_external_network_goes_with_floating_ips_that_lead_nowhere(network_api: Api) -> None:
    """They belong to projects that do not see why the network stays, and nothing is reached by them."""
    outside, _ = external_network(network_api)
    for token in (ADMIN, OTHERS):
        network_api.make("floatingip", "floatingips", token=token, floating_network_id=outside)
    network_api.call("DELETE", f"/v2.0/networks/{outside}", token=ADMIN, status=204)
    found = network_api.call("GET", f"/v2.0/floatingips?floating_network_id={outside}", token=ADMIN)
    assert found["floatingips"] == []


def test_an_external_network_stays_with_one_in_use(network_api: Api) -> None:
    network, subnet = network_with_subnet(network_api, "10.0.0.0/24")
    outside, _ = external_network(network_api)
    router = network_api.make("router", "routers", name="r", external_gateway_info={"network_id": outside})["id"]
    network_api.call("PUT", f"/v2.0/routers/{router}/add_router_interface", {"subnet_id": subnet})
    port = network_api.make("port", "ports", network_id=network)["id"]
    network_api.make("floatingip", "floatingips", floating_network_id=outside, port_id=port)
    idle = network_api.make("floatingip", "floatingips", floating_network_id=outside)["id"]
    network_api.refused("DELETE", f"/v2.0/networks/{outside}", None, 409, "NetworkInUse", token=ADMIN)
    network_api.call("GET", f"/v2.0/floatingips/{idle}")


@pytest.mark.parametrize("path", ["agents", "segments"])
def test_lists_for_administrators_are_empty_to_others(network_api: Api, path: str) -> None:
    """The reference filters the list by the rule of each item (it answered 403 here), and hides single ones."""
    network_with_subnet(network_api, "10.0.0.0/24")
    assert network_api.call("GET", f"/v2.0/{path}") == {path: []}
    [one, *_] = network_api.call("GET", f"/v2.0/{path}", token=ADMIN)[path]
    network_api.call("GET", f"/v2.0/{path}/{one['id']}", status=404)


@pytest.mark.parametrize("ports", [(-16, 80), (80, 65536), (-2, -2)])
def test_ports_out_of_bounds_are_named_as_the_reference_does(network_api: Api, ports: tuple[int, int]) -> None:
    group = network_api.make("security_group", "security-groups", name="g")["id"]
    body = {"security_group_rule": {"security_group_id": group, "direction": "ingress", "protocol": "tcp",
                                    "port_range_min": ports[0], "port_range_max": ports[1]}}
    wrong = next(port for port in ports if not -1 <= port <= 65535)
    said = network_api.refused("POST", "/v2.0/security-group-rules", body, 400, "SecurityGroupInvalidPortValue")
    assert said == f"Invalid value for port {wrong}"


@pytest.mark.parametrize("kind", [{"distributed": True}, {"ha": False}])
def test_the_kind_of_a_router_is_for_administrators(network_api: Api, kind: dict[str, bool]) -> None:
    body = {"router": {"name": "r", **kind}}
    network_api.refused("POST", "/v2.0/routers", body, 403, "PolicyNotAuthorized")
    router = network_api.call("POST", "/v2.0/routers", body, token=ADMIN, status=201)["router"]["id"]
    network_api.refused("PUT", f"/v2.0/routers/{router}", {"router": kind}, 403, "PolicyNotAuthorized")
    network_api.call("PUT", f"/v2.0/routers/{router}", {"router": kind}, token=ADMIN)


def test_subnets_say_whether_their_network_is_external(network_api: Api) -> None:
    """Everybody is shown those of external networks, which the reference names by this extension."""
    inside, _ = network_with_subnet(network_api, "10.0.0.0/24")
    outside, _ = external_network(network_api)
    aliases = {item["alias"] for item in network_api.call("GET", "/v2.0/extensions")["extensions"]}
    assert "subnet-external-network" in aliases
    subnets = network_api.call("GET", "/v2.0/subnets", token=OTHERS)["subnets"]
    assert {item["network_id"] for item in subnets} >= {outside} and all(item["router:external"] for item in subnets)
    [one] = network_api.call("GET", f"/v2.0/subnets?network_id={inside}")["subnets"]
    assert one["router:external"] is False
