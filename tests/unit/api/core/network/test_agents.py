"""Network agents and what they host, as administrators see them; nothing of it can be changed."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
import sqlalchemy as sa

from hostler import ids
from hostler.db.models import Host, Port
from tests.harness.network_core import Cloud
from tests.harness.network_rest import ADMIN, Api

AGENTS = "/v2.0/agents"


@pytest.fixture
def api(cloud: Cloud) -> Api:
    """Return the Network API over the cloud."""
    return Api(cloud)


def plugged(api: Api, cloud: Cloud, network_id: str) -> None:
    port = api.make("port", "ports", network_id=network_id)
    server_id = cloud.server()
    cloud.db.write(lambda session: session.execute(sa.update(Port).where(Port.id == port["id"]).values(
        server_id=server_id, host_id=cloud.host_id)))


def listed(api: Api, path: str, plural: str) -> list[Any]:
    return [item["id"] for item in api.call("GET", f"/v2.0/{path}", token=ADMIN)[plural]]


def test_each_host_has_an_agent(api: Api, cloud: Cloud) -> None:
    [agent] = api.call("GET", AGENTS, token=ADMIN)["agents"]
    assert (agent["id"], agent["host"], agent["availability_zone"]) == (cloud.host_id, "host1", "nova")
    assert (agent["alive"], agent["admin_state_up"], agent["heartbeat_timestamp"]) == (False, True, None)
    now = cloud.db.now()
    cloud.db.write(lambda session: session.execute(sa.update(Host).values(last_seen_at=now)))
    agent = api.call("GET", f"{AGENTS}/{cloud.host_id}", token=ADMIN)["agent"]
    assert agent["alive"] is True
    assert dt.datetime.strptime(agent["heartbeat_timestamp"], "%Y-%m-%d %H:%M:%S").year == now.year
    for query, count in (("host=host1", 1), ("host=host2", 0), ("alive=True", 1), ("alive=false", 0),
                         ("binary=hostler-compute&agent_type=x", 0)):
        assert len(api.call("GET", f"{AGENTS}?{query}", token=ADMIN)["agents"]) == count
    api.refused("GET", f"{AGENTS}?colour=red", None, 400, "InvalidInput", token=ADMIN)
    api.refused("GET", f"{AGENTS}/{ids.new_id()}", None, 404, "AgentNotFound", token=ADMIN)


def test_what_an_agent_hosts_follows_the_guests(api: Api, cloud: Cloud) -> None:
    network, other = cloud.network(), cloud.network("10.1.0.0/24")
    router = api.make("router", "routers", name="r")
    subnet = api.call("GET", f"/v2.0/networks/{network}")["network"]["subnets"][0]
    api.call("PUT", f"/v2.0/routers/{router['id']}/add_router_interface", {"subnet_id": subnet})
    for path in (f"networks/{network}/dhcp-agents", f"routers/{router['id']}/l3-agents"):
        assert listed(api, path, "agents") == []
    plugged(api, cloud, network)
    for path in (f"networks/{network}/dhcp-agents", f"routers/{router['id']}/l3-agents"):
        assert listed(api, path, "agents") == [cloud.host_id]
    assert listed(api, f"networks/{other}/dhcp-agents", "agents") == []
    assert listed(api, f"agents/{cloud.host_id}/dhcp-networks", "networks") == [network]
    assert listed(api, f"agents/{cloud.host_id}/l3-routers", "routers") == [router["id"]]
    for path, kind in ((f"networks/{ids.new_id()}/dhcp-agents", "NetworkNotFound"),
                       (f"routers/{ids.new_id()}/l3-agents", "RouterNotFound"),
                       (f"agents/{ids.new_id()}/l3-routers", "AgentNotFound")):
        api.refused("GET", f"/v2.0/{path}", None, 404, kind, token=ADMIN)


def test_agents_are_for_administrators_and_stay_as_they_are(api: Api, cloud: Cloud) -> None:
    network = cloud.network()
    one = f"{AGENTS}/{cloud.host_id}"
    # The reference filters lists and hides single items; what an agent hosts it refuses.
    assert api.call("GET", AGENTS) == {"agents": []}
    api.refused("GET", one, None, 404, "AgentNotFound")
    for path in (f"{one}/dhcp-networks", f"{one}/l3-routers", f"/v2.0/networks/{network}/dhcp-agents"):
        api.refused("GET", path, None, 403, "PolicyNotAuthorized")
    for method, path in (("PUT", one), ("DELETE", one), ("POST", f"{one}/dhcp-networks"),
                         ("DELETE", f"{one}/dhcp-networks/{network}")):
        assert "agent" in api.refused(method, path, {}, 501, "NotImplementedError", token=ADMIN)


def test_who_leads_outside_is_for_administrators(api: Api, cloud: Cloud) -> None:
    router = api.make("router", "routers", name="r")["id"]
    path = f"{AGENTS}/{cloud.host_id}/l3-routers"
    api.refused("POST", path, {"router_id": router}, 403, "PolicyNotAuthorized")
    api.refused("DELETE", f"{path}/{router}", None, 403, "PolicyNotAuthorized")
    api.refused("POST", path, {"router_id": router}, 409, "DVRL3CannotAssignToDvrAgent", token=ADMIN)
    api.refused("DELETE", f"{path}/{router}", None, 409, "RouterNotHostedByL3Agent", token=ADMIN)
    api.refused("POST", path, {"router_id": ids.new_id()}, 404, "RouterNotFound", token=ADMIN)
    api.refused("POST", f"{AGENTS}/{ids.new_id()}/l3-routers", {"router_id": router}, 404, "AgentNotFound", token=ADMIN)
    for values in ({"distributed": False}, {"ha": True}):
        api.refused("POST", "/v2.0/routers", {"router": values}, 403, "PolicyNotAuthorized")
        api.refused("PUT", f"/v2.0/routers/{router}", {"router": values}, 403, "PolicyNotAuthorized")


def test_segments(api: Api, cloud: Cloud) -> None:
    network = cloud.network(network_type="vxlan", segmentation_id=7)
    cloud.network("10.1.0.0/24", network_type="flat", physical_network="physnet1")
    path = f"/v2.0/segments/{network}"
    shown = api.call("GET", path, token=ADMIN)["segment"]
    assert (shown["network_id"], shown["network_type"], shown["segmentation_id"], shown["physical_network"]) == (
        network, "vxlan", 7, None)
    assert api.call("GET", f"/v2.0/segments?network_id={network}", token=ADMIN)["segments"] == [shown]
    for query, count in (("network_type=flat", 1), ("physical_network=physnet1", 1), ("segmentation_id=8", 0),
                         ("name=x", 0), ("", 2)):
        assert len(api.call("GET", f"/v2.0/segments?{query}", token=ADMIN)["segments"]) == count
    page = api.call("GET", "/v2.0/segments?limit=1", token=ADMIN)
    assert "/network/v2.0/segments?" in page["segments_links"][0]["href"]
    assert api.call("GET", "/v2.0/segments") == {"segments": []}
    api.refused("GET", path, None, 404, "SegmentNotFound")
    for method, where in (("POST", "/v2.0/segments"), ("PUT", path), ("DELETE", path)):
        assert "segments" in api.refused(method, where, {}, 501, "NotImplementedError", token=ADMIN)
