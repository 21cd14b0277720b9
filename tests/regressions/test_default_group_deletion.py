"""An administrator could not delete a project's default security group; every script that removes projects does."""

from __future__ import annotations

from tests.harness.network_rest import ADMIN, OTHERS, Api


def default_group(api: Api, token: str) -> str:
    groups = api.call("GET", "/v2.0/security-groups", token=token, params={"name": "default"})["security_groups"]
    return str(groups[0]["id"])


def test_only_the_owner_keeps_the_default_group(network_api: Api) -> None:
    group_id = default_group(network_api, OTHERS)
    path = f"/v2.0/security-groups/{group_id}"
    network_api.refused("DELETE", path, None, 409, "SecurityGroupCannotRemoveDefault", token=OTHERS)
    network_api.call("DELETE", path, token=ADMIN, status=204)
    network_api.call("GET", path, token=ADMIN, status=404)
    assert default_group(network_api, OTHERS) != group_id


def test_a_default_group_with_ports_stays(network_api: Api) -> None:
    network_id = network_api.make("network", "networks", OTHERS, name="n")["id"]
    port = network_api.make("port", "ports", OTHERS, network_id=network_id)
    path = f"/v2.0/security-groups/{default_group(network_api, OTHERS)}"
    network_api.refused("DELETE", path, None, 409, "SecurityGroupInUse", token=ADMIN)
    network_api.call("DELETE", f"/v2.0/ports/{port['id']}", token=OTHERS, status=204)
    network_api.call("DELETE", path, token=ADMIN, status=204)
