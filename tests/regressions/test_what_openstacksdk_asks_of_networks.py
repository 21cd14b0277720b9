"""What openstacksdk's own functional tests of the Network API found."""

from __future__ import annotations

from tests.harness.network_rest import ADMIN, Api, external_network, network_with_subnet


def test_tags_of_qos_policies_are_where_the_reference_has_them(network_api: Api) -> None:
    """`openstack network qos policy set --tag` said nothing and set nothing: it got a 404."""
    policy = network_api.make("policy", "qos/policies", token=ADMIN, name="p")["id"]
    tags = network_api.call("PUT", f"/v2.0/policies/{policy}/tags", {"tags": ["blue"]}, token=ADMIN)
    assert tags == {"tags": ["blue"]}
    network_api.call("PUT", f"/v2.0/policies/{policy}/tags/green", token=ADMIN, status=201)
    assert network_api.call("GET", f"/v2.0/qos/policies/{policy}", token=ADMIN)["policy"]["tags"] == ["blue", "green"]
    network_api.call("DELETE", f"/v2.0/policies/{policy}/tags", token=ADMIN, status=204)
    assert network_api.call("GET", f"/v2.0/qos/policies/{policy}/tags", token=ADMIN) == {"tags": []}


def test_floating_ips_show_their_port(network_api: Api) -> None:
    aliases = {item["alias"] for item in network_api.call("GET", "/v2.0/extensions")["extensions"]}
    assert "fip-port-details" in aliases
    network, subnet = network_with_subnet(network_api, "10.0.0.0/24")
    outside, _ = external_network(network_api)
    router = network_api.make("router", "routers", name="r", external_gateway_info={"network_id": outside})["id"]
    network_api.call("PUT", f"/v2.0/routers/{router}/add_router_interface", {"subnet_id": subnet})
    port = network_api.make("port", "ports", network_id=network, name="inside")
    floating = network_api.make("floatingip", "floatingips", floating_network_id=outside)
    assert floating["port_details"] is None
    shown = network_api.call("PUT", f"/v2.0/floatingips/{floating['id']}", {"floatingip": {"port_id": port["id"]}})
    assert shown["floatingip"]["port_details"] == {name: port[name] for name in (
        "name", "network_id", "mac_address", "admin_state_up", "status", "device_id", "device_owner")}


def test_a_default_rule_for_no_groups_is_kept(network_api: Api) -> None:
    """The reference keeps it; it was refused."""
    made = network_api.make("default_security_group_rule", "default-security-group-rules", token=ADMIN,
                            direction="ingress", protocol="tcp", port_range_min=7, port_range_max=7,
                            used_in_default_sg=False, used_in_non_default_sg=False)
    assert (made["used_in_default_sg"], made["used_in_non_default_sg"]) == (False, False)
    group = network_api.make("security_group", "security-groups", name="g")
    assert 7 not in [rule["port_range_min"] for rule in group["security_group_rules"]]
    network_api.call("DELETE", f"/v2.0/default-security-group-rules/{made['id']}", token=ADMIN, status=204)
