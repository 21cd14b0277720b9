"""On another project's networks members took addresses outside the pools, and made ports where they were no guests."""

from __future__ import annotations

from typing import Any

import pytest

from tests.harness.client import Client
from tests.harness.network_rest import ADMIN, OTHERS, Api


def network(api: Api, **values: Any) -> str:
    made = api.make("network", "networks", ADMIN, name="n", **values)
    api.make("subnet", "subnets", ADMIN, network_id=made["id"], cidr="10.0.0.0/24", ip_version=4,
             allocation_pools=[{"start": "10.0.0.100", "end": "10.0.0.120"}])
    return str(made["id"])


def test_others_name_addresses_of_the_pools_only(network_api: Api) -> None:
    network_id = network(network_api, shared=True)
    port = network_api.make("port", "ports", OTHERS, network_id=network_id, fixed_ips=[{"ip_address": "10.0.0.110"}])
    outside = [{"ip_address": "10.0.0.50"}]
    body = {"port": {"network_id": network_id, "fixed_ips": outside}}
    network_api.refused("POST", "/v2.0/ports", body, 400, "InvalidInput", token=OTHERS)
    network_api.refused("PUT", f"/v2.0/ports/{port['id']}", {"port": {"fixed_ips": outside}}, 400, "InvalidInput",
                        token=OTHERS)
    network_api.make("port", "ports", network_id=network_id, fixed_ips=outside)


@pytest.mark.parametrize("shared", [False, True])
def test_an_external_network_is_there_to_be_named(network_api: Api, shared: bool) -> None:
    network_id = network(network_api, **{"router:external": True, "shared": shared})
    network_api.call("GET", f"/v2.0/networks/{network_id}", token=OTHERS)
    # As in the reference (its extension subnet-external-network), everybody sees the subnets.
    assert network_api.call("GET", "/v2.0/subnets", token=OTHERS, params={"network_id": network_id})["subnets"]
    body = {"port": {"network_id": network_id}}
    network_api.call("POST", "/v2.0/ports", body, token=OTHERS, status=201 if shared else 404)
    network_api.call("POST", "/v2.0/ports", body, token=ADMIN, status=201)


def test_a_member_boots_at_an_address_of_the_pools_only(client: Client, image: str) -> None:
    network_id = client.get("/network/v2.0/networks?name=default").json()["networks"][0]["id"]
    subnet = client.get(f"/network/v2.0/subnets?network_id={network_id}").json()["subnets"][0]
    narrow = {"subnet": {"allocation_pools": [{"start": "10.88.0.100", "end": "10.88.0.200"}]}}
    client.request("PUT", f"/network/v2.0/subnets/{subnet['id']}", json=narrow).raise_for_status()
    project = client.post("/identity/v3/projects", {"project": {"name": "guests"}}).json()["project"]
    user = client.post("/identity/v3/users", {"user": {"name": "guest", "password": "secret"}}).json()["user"]
    role_id = client.get("/identity/v3/roles?name=member").json()["roles"][0]["id"]
    client.request("PUT", f"/identity/v3/projects/{project['id']}/users/{user['id']}/roles/{role_id}")
    guest = Client(client.url, "guest", "secret", "guests")
    guest.login()
    public = client.request("PATCH", f"/image/v2/images/{image}", json=[
        {"op": "replace", "path": "/visibility", "value": "public"}],
        headers={"Content-Type": "application/openstack-images-v2.1-json-patch"})
    public.raise_for_status()
    body = guest.server_body(image, "guest", networks=[{"uuid": network_id, "fixed_ip": "10.88.0.50"}])
    assert guest.post("/compute/v2.1/servers", body).status_code == 400
