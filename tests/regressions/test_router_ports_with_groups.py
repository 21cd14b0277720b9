"""A router's interface on a port that its owner had made could not be taken away: 500, as the port was in a group.

Such a port also keeps what else its owner gave it: another router's floating IP.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from hostler.db.models import FloatingIp, Port, PortSecurityGroup
from tests.harness.network_rest import ADMIN, Api, external_network, network_with_subnet

ROUTERS = "/v2.0/routers"


def _router(api: Api, **values: object) -> str:
    return str(api.make("router", "routers", name="r", **values)["id"])


def _count(api: Api, model: Any, *criteria: Any) -> int:
    with api.db.reading() as session:
        return session.execute(sa.select(sa.func.count()).select_from(model).where(*criteria)).scalar_one()


def test_the_port_goes_with_its_groups(network_api: Api) -> None:
    network, subnet = network_with_subnet(network_api, "10.0.0.0/24")
    router = _router(network_api)
    for by_port in (True, False):
        port = network_api.make("port", "ports", network_id=network)
        assert port["security_groups"]
        network_api.call("PUT", f"{ROUTERS}/{router}/add_router_interface", {"port_id": port["id"]})
        network_api.call("PUT", f"{ROUTERS}/{router}/remove_router_interface",
                         {"port_id": port["id"]} if by_port else {"subnet_id": subnet})
        network_api.call("GET", f"/v2.0/ports/{port['id']}", status=404)
        assert _count(network_api, PortSecurityGroup, PortSecurityGroup.port_id == port["id"]) == 0
    network_api.call("DELETE", f"{ROUTERS}/{router}", status=204)


def test_floating_ips_of_another_router_let_it_go(network_api: Api) -> None:
    network, subnet = network_with_subnet(network_api, "10.0.0.0/24")
    outside, _ = external_network(network_api)
    first = _router(network_api, external_gateway_info={"network_id": outside})
    second = _router(network_api)
    network_api.call("PUT", f"{ROUTERS}/{first}/add_router_interface", {"subnet_id": subnet})
    port = network_api.make("port", "ports", network_id=network)
    floating = network_api.make("floatingip", "floatingips", floating_network_id=outside, port_id=port["id"])
    network_api.call("PUT", f"{ROUTERS}/{second}/add_router_interface", {"port_id": port["id"]})
    network_api.call("PUT", f"{ROUTERS}/{second}/remove_router_interface", {"port_id": port["id"]})
    assert _count(network_api, Port, Port.id == port["id"]) == 0
    assert _count(network_api, FloatingIp, FloatingIp.id == floating["id"], FloatingIp.port_id.is_(None)) == 1


def test_a_gateway_that_was_given_groups_goes(network_api: Api) -> None:
    outside, _ = external_network(network_api)
    router = _router(network_api, external_gateway_info={"network_id": outside})
    [gateway] = network_api.call("GET", f"/v2.0/ports?device_id={router}", token=ADMIN)["ports"]
    group = network_api.make("security_group", "security-groups", token=ADMIN, name="g")
    network_api.call("PUT", f"/v2.0/ports/{gateway['id']}", {"port": {
        "port_security_enabled": True, "security_groups": [group["id"]]}}, token=ADMIN)
    network_api.call("DELETE", f"{ROUTERS}/{router}", status=204)
    network_api.call("GET", f"/v2.0/ports/{gateway['id']}", token=ADMIN, status=404)
