"""Kill -9 around every step of changes of power, of names, rules and networks.

Whichever process dies: without an operator the change takes place, once asked for, and nothing stays locked or
unfinished. One server serves the whole campaign. A sample of the points is tried; HOSTLER_CRASHES=all tries every one.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from tests.harness import backends
from tests.harness.client import Client
from tests.harness.crash_campaign import (
    HOST,
    Campaign,
    Point,
    agent_points,
    api_points,
    conductor_points,
    each,
    share_of,
)

pytestmark = [pytest.mark.timeout(900)]


def _around(verb: str, *agent_steps: str) -> list[Point]:
    """Return the points of one verb; the api's are the same for all and are tried with stop."""
    return [*conductor_points([f"{verb.capitalize()}Server"], [f"{verb}_server"]), *agent_points(*agent_steps)]


def _few(verb: str, step: str) -> list[Point]:
    return [*(Point("conductor", name) for name in (f"rpc.{verb}_server:before", f"rpc.{verb}_server:after",
                                                    "finish:before")), *agent_points(step)]


STOP = [*_around("stop", "driver.shutdown"), *api_points()]
START = _around("start", "spawn.ports", "spawn.disk", "spawn.start", "driver.create:after", "spawn.end")
REBOOT = _around("reboot", "driver.power_off", "spawn.spec", "driver.create:after", "spawn.end")
PAUSE = _few("pause", "driver.pause")
UNPAUSE = _few("unpause", "driver.unpause")
SUSPEND = _few("suspend", "driver.suspend")
RESUME = [*_few("resume", "driver.resume"), *agent_points("network.plug:before")]
RENAME = [*conductor_points(["TellGuest"], ["update_server"]), *api_points(wake=False)]
RULES = [*conductor_points(["ApplyRules"], ["apply_port_rules"]), *api_points(wake=False),
         *agent_points("network.update_groups", "network.apply_rules")]
NETWORK = [*conductor_points(["UpdateNetwork"], ["update_network"]), *api_points(wake=False),
           *agent_points("network.apply_rules")]
PEERS = [*conductor_points(["UpdatePeers"], ["update_groups"]), *agent_points("network.update_groups")]

# Verb → (the request, the status it must start from, the status it ends in, its points).
VERBS: dict[str, tuple[dict[str, object], str, str, list[Point]]] = {
    "stop": ({"os-stop": None}, "ACTIVE", "SHUTOFF", STOP),
    "start": ({"os-start": None}, "SHUTOFF", "ACTIVE", START),
    "reboot": ({"reboot": {"type": "HARD"}}, "ACTIVE", "ACTIVE", REBOOT),
    "pause": ({"pause": None}, "ACTIVE", "PAUSED", PAUSE),
    "unpause": ({"unpause": None}, "PAUSED", "ACTIVE", UNPAUSE),
    "suspend": ({"suspend": None}, "ACTIVE", "SUSPENDED", SUSPEND),
    "resume": ({"resume": None}, "SUSPENDED", "ACTIVE", RESUME),
}
POWER = [(verb, point) for verb, (*_, points) in VERBS.items() for point in points]
_WAY = {("ACTIVE", "SHUTOFF"): "stop", ("SHUTOFF", "ACTIVE"): "start", ("ACTIVE", "PAUSED"): "pause",
        ("PAUSED", "ACTIVE"): "unpause", ("ACTIVE", "SUSPENDED"): "suspend", ("SUSPENDED", "ACTIVE"): "resume"}
_PORTS = itertools.count(2000)
_ADDRESSES = itertools.count(1)


class Scene:
    """A campaign with its one server."""

    def __init__(self, campaign: Campaign, client: Client) -> None:
        self.campaign = campaign
        self.client = client
        self.server_id = client.create_server(client.make_image(), "subject")
        client.wait_server(self.server_id, "ACTIVE")
        self.group_id = client.get(
            f"/network/v2.0/security-groups?name=default&project_id={client.project_id}"
        ).json()["security_groups"][0]["id"]
        self.subnet_id = client.get("/network/v2.0/subnets").json()["subnets"][0]["id"]

    def bring_to(self, status: str) -> None:
        """Undisturbed, bring the server into a status."""
        for step in ("ACTIVE", status):
            if (now := self.status()) != step:
                self.act(_WAY[now, step]).raise_for_status()
                self.client.wait_server(self.server_id, step)

    def status(self) -> str:
        """Return the server's status."""
        return str((self.client.show(self.server_id) or {})["status"])

    def act(self, verb: str) -> requests.Response:
        """Ask for an action."""
        return self.client.post(f"/compute/v2.1/servers/{self.server_id}/action", VERBS[verb][0])

    def put(self, path: str, body: dict[str, Any]) -> requests.Response:
        """Ask for a change."""
        return self.client.request("PUT", path, json=body)

    def survive(self, point: Point, request: Callable[[], requests.Response]) -> None:
        """Make a request disturbed by `point`, and again if the api died under it, as a careful user would."""
        if self.campaign.survive(point, request) is None:
            again = request()  # 409 when the first one was accepted
            assert again.status_code < 400 or again.status_code == 409, again.text

    def spec(self) -> str:
        """Return what the agent keeps of the server."""
        directory = self.campaign.fleet.directory / HOST / "compute" / "servers" / self.server_id
        return (directory / "spec.json").read_text()


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    reason = backends.missing()
    if reason:
        pytest.skip(reason)
    made = Campaign(tmp_path_factory.mktemp("crash"))
    try:
        yield Scene(made, made.start())
    finally:
        made.stop()


@pytest.mark.contract("N-POWER", "N-REBOOT", "N-PAUSE", "N-SUSPEND")
@pytest.mark.parametrize(("verb", "point"), share_of(POWER), ids=str)
def test_change_of_power_survives(scene: Scene, verb: str, point: Point) -> None:
    _, before, after, _ = VERBS[verb]
    scene.bring_to(before)
    scene.survive(point, lambda: scene.act(verb))
    scene.campaign.wait_rest()
    assert scene.status() == after


@each(RENAME)
def test_rename_survives(scene: Scene, point: Point) -> None:
    scene.bring_to("ACTIVE")
    name = f"renamed-{next(_PORTS)}"
    scene.survive(point, lambda: scene.put(f"/compute/v2.1/servers/{scene.server_id}", {"server": {"name": name}}))
    scene.campaign.wait_rest()
    assert name in scene.spec()


@each(RULES)
def test_change_of_rules_survives(scene: Scene, point: Point) -> None:
    scene.bring_to("ACTIVE")
    port = next(_PORTS)
    rule = {"security_group_id": scene.group_id, "direction": "ingress", "ethertype": "IPv4", "protocol": "tcp",
            "port_range_min": port, "port_range_max": port}
    scene.survive(point, lambda: scene.client.post("/network/v2.0/security-group-rules", {
        "security_group_rule": rule}))
    scene.campaign.wait_rest()
    assert str(port) in scene.spec()


@each(NETWORK)
def test_change_of_network_survives(scene: Scene, point: Point) -> None:
    scene.bring_to("ACTIVE")
    server = f"10.9.0.{next(_ADDRESSES)}"
    scene.survive(point, lambda: scene.put(f"/network/v2.0/subnets/{scene.subnet_id}", {
        "subnet": {"dns_nameservers": [server]}}))
    scene.campaign.wait_rest()
    assert f'"{server}"' in scene.spec()


@pytest.fixture(scope="module")
def overlay_port(scene: Scene) -> str:
    """A port of the server on a VXLAN network, whose host gets each change of its addresses."""
    network = scene.client.post("/network/v2.0/networks", {"network": {"provider:network_type": "vxlan"}}
                                ).json()["network"]["id"]
    scene.client.post("/network/v2.0/subnets", {"subnet": {
        "network_id": network, "ip_version": 4, "cidr": "10.66.0.0/24"}}).raise_for_status()
    scene.bring_to("ACTIVE")
    made = scene.client.post(f"/compute/v2.1/servers/{scene.server_id}/os-interface", {
        "interfaceAttachment": {"net_id": network}})
    assert made.status_code == 200, made.text
    scene.campaign.wait_rest()
    return str(made.json()["interfaceAttachment"]["port_id"])


@each(PEERS)
def test_change_of_places_survives(scene: Scene, overlay_port: str, point: Point) -> None:
    mac = f"02:00:00:00:00:{next(_ADDRESSES):02x}"
    scene.survive(point, lambda: scene.put(f"/network/v2.0/ports/{overlay_port}", {
        "port": {"allowed_address_pairs": [{"ip_address": "10.66.0.200", "mac_address": mac}]}}))
    scene.campaign.wait_rest()
    assert mac in scene.spec()


def test_campaign_size(capsys: pytest.CaptureFixture[str]) -> None:
    """Say how many crash points there are."""
    with capsys.disabled():
        print(f"\ncrash campaign: {len(POWER)} points in changes of power, {len(RENAME)} in renaming, "
              f"{len(RULES)} in changes of rules, {len(NETWORK)} of networks, {len(PEERS)} of places")
    assert len(POWER) >= 40
