"""Kill -9 around every step that changes a router, a floating IP, a port forwarding, a QoS policy, an address group,
who gives a network's services, or what is shared.

One server behind a router serves all points. Each change is a switch that goes on and off: it takes place once asked
for, and then the server's host has been sent exactly what the records say. A part of the points runs, which
HOSTLER_SEED chooses; HOSTLER_CRASHES=all tries every one.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
import requests

from hostler.context import RequestContext
from hostler.db.models import Network, Router
from hostler.operations import notes
from hostler.operations.accept import Target, accept
from hostler.operations.kinds import network as kinds
from hostler.resources.network import elections, providers
from hostler.resources.network.port_specs import port_specs
from hostler.resources.server.specs import PortSpec
from tests.harness import backends
from tests.harness.at_once import at_once
from tests.harness.client import Client
from tests.harness.crash_campaign import HOST, Campaign, Point, agent_points, api_points, conductor_points, share_of

pytestmark = [pytest.mark.timeout(900)]

_NET: Final = "/network/v2.0"
_NETWORK: Final = [*conductor_points(["UpdateNetwork"], ["update_network"]), *api_points(),
                   *agent_points("network.apply_rules")]
_PORT: Final = [*conductor_points(["ApplyRules"], ["apply_port_rules"]), *api_points(),
                *agent_points("network.apply_rules")]
TRACE: Final = conductor_points(["TracePacket"], ["inspect_network"])
_ROUTER: Final = [*conductor_points(["UpdateRouter"], ["update_network"]), *api_points(),
                  *agent_points("network.apply_rules")]
# The elected host is also told to announce what it has.
_ELECTED: Final = [*conductor_points(["UpdateRouter"], ["update_network", "apply_port_rules"]), *api_points()]
# Asked for as hostler-manage does: without the api.
_CHOICE: Final = [*conductor_points(["UpdateNetwork"], ["update_network"]), *agent_points("network.apply_rules")]
# Swapped by hostler-manage while it is up.
SWAPS: Final = [(distributed, point) for distributed in (False, True)
                for point in (*conductor_points(["UpdateRouter"], ["update_network", "apply_port_rules"]),
                              *agent_points("network.apply_rules"))]
_RECORDS: Final = api_points(wake=False)
_ELSEWHERE: Final = "11111111-1111-4111-8111-111111111111"


@dataclasses.dataclass(frozen=True)
class Switch:
    """Something that is on or off, with the requests that change it. It is on only while what it `needs` is."""

    on: Callable[[Scene], requests.Response]
    off: Callable[[Scene], requests.Response]
    is_on: Callable[[Scene], Any]
    points: list[Point] = dataclasses.field(default_factory=lambda: list(_NETWORK))
    needs: tuple[str, ...] = ()


class Scene:
    """A campaign with its server, router and external network."""

    def __init__(self, campaign: Campaign, client: Client) -> None:
        self.campaign, self.client = campaign, client
        self.outside = self._make("network", {"name": "outside", "router:external": True})
        self._make("subnet", {"network_id": self.outside, "ip_version": 4, "cidr": "203.0.113.0/24"})
        self.outside_by_default = self._make("network", {"name": "default", "router:external": True,
                                                         "is_default": True})
        self._make("subnet", {"network_id": self.outside_by_default, "ip_version": 4, "cidr": "198.51.100.0/24"})
        self._make("subnetpool", {"name": "default", "prefixes": ["10.128.0.0/16"], "default_prefixlen": 24,
                                  "is_default": True})
        self.network = self._make("network", {"name": "inside", "provider:network_type": "vxlan"})
        self.subnet = self._make("subnet", {"network_id": self.network, "ip_version": 4, "cidr": "10.70.0.0/24"})
        self.addresses = self._make("address_group", {"name": "far"})
        self.group = self._make("security_group", {"name": "subject"})
        self._make("security_group_rule", {"security_group_id": self.group, "direction": "ingress",
                                           "remote_address_group_id": self.addresses})
        self.policy = self._make("policy", {"name": "slow"}, "qos/policies")
        self.limit = self._make("bandwidth_limit_rule", {"max_kbps": 1000},
                                f"qos/policies/{self.policy}/bandwidth_limit_rules")
        # A port that has a floating IP takes no forwarding.
        self.port, self.forwarded = (self._make("port", {"network_id": self.network, "security_groups": [self.group]})
                                     for _ in range(2))
        self.router = self._make("router", {"name": "subject"})
        self.floating, self.forwarder = (self._make("floatingip", {"floating_network_id": self.outside})
                                         for _ in range(2))
        self.server = client.create_server(client.make_image(), "subject", networks=[
            {"port": self.port}, {"port": self.forwarded}])
        client.wait_server(self.server, "ACTIVE")

    def _make(self, noun: str, values: dict[str, Any], plural: str = "") -> str:
        path = plural or f"{noun.replace('_', '-')}s"
        made = self.client.post(f"{_NET}/{path}", {noun: values})
        assert made.status_code == 201, made.text
        return str(made.json()[noun]["id"])

    def show(self, path: str) -> dict[str, Any]:
        """Return one resource."""
        [(_, found)] = self.client.get(f"{_NET}/{path}").json().items()
        return dict(found)

    def put(self, path: str, body: dict[str, Any]) -> requests.Response:
        """Ask for a change."""
        return self.client.request("PUT", f"{_NET}/{path}", json=body)

    def rows(self, path: str) -> list[dict[str, Any]]:
        """Return a list."""
        [(_, found)] = self.client.get(f"{_NET}/{path}").json().items()
        return list(found)

    def bring(self, name: str, *, on: bool) -> None:
        """Undisturbed, switch on or off, first what it needs or what needs it."""
        switch = SWITCHES[name]
        for other in switch.needs if on else _needing(name):
            self.bring(other, on=on)
        if bool(switch.is_on(self)) != on:
            made = (switch.on if on else switch.off)(self)
            assert made.status_code < 300, made.text
            self.campaign.wait_rest()

    def flip(self, name: str, point: Point, *, on: bool) -> None:
        """Switch while a process dies at `point`, again if the api died under it, as a careful user would."""
        self.bring(name, on=not on)
        for other in SWITCHES[name].needs if on else _needing(name):
            self.bring(other, on=on)
        switch = SWITCHES[name].on if on else SWITCHES[name].off
        if self.campaign.survive(point, lambda: switch(self)) is None:
            again = switch(self)  # refused when the first one was accepted
            assert again.status_code < 300 or again.status_code in (400, 404, 409), again.text
        self.campaign.wait_rest()

    def sent(self) -> list[PortSpec]:
        """Return what the host keeps of the server's ports."""
        kept = self.campaign.fleet.directory / HOST / "compute" / "servers" / self.server / "spec.json"
        return [PortSpec.from_wire(port) for port in json.loads(kept.read_text())["ports"]]

    def recorded(self) -> list[PortSpec]:
        """Return what the records say that it should."""
        with self.campaign.db.reading() as session:
            [ports] = port_specs(session, server_ids=[self.server]).values()
        return list(ports)


def _needing(name: str) -> list[str]:
    return [key for key, switch in SWITCHES.items() if name in switch.needs]


def _gateway(scene: Scene, **more: Any) -> requests.Response:
    return scene.put(f"routers/{scene.router}", {"router": {
        "external_gateway_info": {"network_id": scene.outside, **more}}})


def _interface(scene: Scene, verb: str) -> requests.Response:
    return scene.put(f"routers/{scene.router}/{verb}_router_interface", {"subnet_id": scene.subnet})


def _forward(scene: Scene) -> requests.Response:
    [address] = scene.show(f"ports/{scene.forwarded}")["fixed_ips"]
    return scene.client.post(f"{_NET}/floatingips/{scene.forwarder}/port_forwardings", {"port_forwarding": {
        "internal_port_id": scene.forwarded, "internal_ip_address": address["ip_address"], "protocol": "tcp",
        "internal_port": 22, "external_port": 2222}})


def _forwardings(scene: Scene) -> list[dict[str, Any]]:
    return scene.rows(f"floatingips/{scene.forwarder}/port_forwardings")


def _redirect(scene: Scene, port: int) -> requests.Response:
    [there] = _forwardings(scene)
    return scene.put(f"floatingips/{scene.forwarder}/port_forwardings/{there['id']}", {
        "port_forwarding": {"internal_port": port}})


def _stop_forwarding(scene: Scene) -> requests.Response:
    there = _forwardings(scene)
    return scene.client.delete(f"{_NET}/floatingips/{scene.forwarder}/port_forwardings/"
                               f"{there[0]['id'] if there else _ELSEWHERE}")


def _shares(scene: Scene) -> list[dict[str, Any]]:
    return scene.rows(f"rbac-policies?object_id={scene.network}")


def _stop_sharing(scene: Scene) -> requests.Response:
    there = _shares(scene)
    return scene.client.delete(f"{_NET}/rbac-policies/{there[0]['id'] if there else _ELSEWHERE}")


def _swap(scene: Scene, *, distributed: bool) -> requests.Response:
    scene.put(f"routers/{scene.router}", {"router": {"distributed": distributed, "admin_state_up": False}})
    return scene.put(f"routers/{scene.router}", {"router": {"admin_state_up": True}})


def _set(path: str, noun: str, **values: Any) -> Callable[[Scene], requests.Response]:
    """Return the request that changes values; those that name an attribute of the scene stand for its id."""
    return lambda scene: scene.put(path.format(**vars(scene)), {noun: {
        key: getattr(scene, value) if isinstance(value, str) and value.isidentifier() else value
        for key, value in values.items()}})


def _choose(**choices: str | None) -> Callable[[Scene], requests.Response]:
    """Return what chooses who gives services of the network."""
    def chosen(scene: Scene) -> requests.Response:
        scene.campaign.db.write(lambda session: providers.choose(
            session, RequestContext.system(), session.get_one(Network, scene.network), choices, 30))
        done = requests.Response()
        done.status_code = 202
        return done
    return chosen


def _given(scene: Scene, service: str) -> str | None:
    with scene.campaign.db.reading() as session:
        return {ref.service: ref.provider for ref in providers.refs(
            session, session.get_one(Network, scene.network))}.get(service)


def _auto_allocated(scene: Scene) -> list[dict[str, Any]]:
    """Return the network of the topology; there is a router exactly when there is a network."""
    found = scene.rows("networks?name=auto_allocated_network")
    assert len(found) == len(scene.rows("routers?name=auto_allocated_router")) < 2
    return found


_TOPOLOGY: Final = f"{_NET}/auto-allocated-topology/None"
_ROUTES: Final = [{"destination": "10.98.0.0/24", "nexthop": "10.70.0.99"}]
_LIMIT: Final = "qos/policies/{policy}/bandwidth_limit_rules/{limit}"
SWITCHES: Final[dict[str, Switch]] = {
    "interface": Switch(
        lambda scene: _interface(scene, "add"), lambda scene: _interface(scene, "remove"),
        lambda scene: scene.rows(f"ports?device_id={scene.router}&device_owner=network:router_interface")),
    "route": Switch(
        _set("routers/{router}", "router", routes=_ROUTES), _set("routers/{router}", "router", routes=[]),
        lambda scene: scene.show(f"routers/{scene.router}")["routes"], needs=("interface",)),
    "gateway": Switch(
        _gateway, _set("routers/{router}", "router", external_gateway_info=None),
        lambda scene: scene.show(f"routers/{scene.router}")["external_gateway_info"], needs=("interface",)),
    "no snat": Switch(
        lambda scene: _gateway(scene, enable_snat=False), lambda scene: _gateway(scene, enable_snat=True),
        lambda scene: not (scene.show(f"routers/{scene.router}")["external_gateway_info"] or {"enable_snat": True})[
            "enable_snat"], needs=("gateway",)),
    "down": Switch(
        _set("routers/{router}", "router", admin_state_up=False), _set("routers/{router}", "router",
                                                                        admin_state_up=True),
        lambda scene: not scene.show(f"routers/{scene.router}")["admin_state_up"], needs=("gateway",)),
    "floating IP": Switch(
        _set("floatingips/{floating}", "floatingip", port_id="port"),
        _set("floatingips/{floating}", "floatingip", port_id=None),
        lambda scene: scene.show(f"floatingips/{scene.floating}")["port_id"], _PORT, needs=("gateway",)),
    "forwarding": Switch(_forward, _stop_forwarding, _forwardings, needs=("gateway",)),
    "other port": Switch(
        lambda scene: _redirect(scene, 2022), lambda scene: _redirect(scene, 22),
        lambda scene: [one for one in _forwardings(scene) if one["internal_port"] == 2022], needs=("forwarding",)),
    "port's policy": Switch(
        _set("ports/{port}", "port", qos_policy_id="policy"), _set("ports/{port}", "port", qos_policy_id=None),
        lambda scene: scene.show(f"ports/{scene.port}")["qos_policy_id"], _PORT),
    "limit": Switch(
        _set(_LIMIT, "bandwidth_limit_rule", max_kbps=2000), _set(_LIMIT, "bandwidth_limit_rule", max_kbps=1000),
        lambda scene: scene.show(_LIMIT.format(**vars(scene)))["max_kbps"] == 2000, _PORT, needs=("port's policy",)),
    "network's policy": Switch(
        _set("networks/{network}", "network", qos_policy_id="policy"),
        _set("networks/{network}", "network", qos_policy_id=None),
        lambda scene: scene.show(f"networks/{scene.network}")["qos_policy_id"]),
    "address": Switch(
        *(lambda scene, verb=verb: scene.put(f"address-groups/{scene.addresses}/{verb}_addresses", {
            "addresses": ["192.0.2.0/24"]}) for verb in ("add", "remove")),
        lambda scene: scene.show(f"address-groups/{scene.addresses}")["addresses"], _PORT),
    "shared": Switch(
        lambda scene: scene.client.post(f"{_NET}/rbac-policies", {"rbac_policy": {
            "object_type": "network", "object_id": scene.network, "action": "access_as_shared",
            "target_tenant": _ELSEWHERE}}), _stop_sharing, _shares, _RECORDS),
    "topology": Switch(
        lambda scene: scene.client.get(_TOPOLOGY), lambda scene: scene.client.delete(_TOPOLOGY),
        lambda scene: _auto_allocated(scene), _RECORDS),
    "no services": Switch(
        _choose(DHCP=None, DNS=None, Userdata=None), _choose(DHCP="Flat", DNS="Flat", Userdata="Flat"),
        lambda scene: _given(scene, "DHCP") is None, _CHOICE),
    # Last: what is between them and the first ones tells hosts otherwise while it is on.
    "elected host": Switch(
        lambda scene: _swap(scene, distributed=False), lambda scene: _swap(scene, distributed=True),
        lambda scene: not scene.show(f"routers/{scene.router}")["distributed"]
        and scene.show(f"routers/{scene.router}")["admin_state_up"], _ROUTER, needs=("gateway",)),
    "floating IP there": Switch(
        _set("floatingips/{floating}", "floatingip", port_id="port"),
        _set("floatingips/{floating}", "floatingip", port_id=None),
        lambda scene: scene.show(f"floatingips/{scene.floating}")["port_id"], _ELECTED, needs=("elected host",)),
    "services there": Switch(
        _choose(DHCP="VirtualRouter", DNS="VirtualRouter"), _choose(DHCP="Flat", DNS="Flat"),
        lambda scene: _given(scene, "DHCP") == "VirtualRouter", _CHOICE, needs=("elected host",)),
}
FLIPS: Final = [(name, way, point) for name, switch in SWITCHES.items() for way in ("on", "off")
                for point in switch.points]
CHOSEN_FLIPS: Final = share_of(FLIPS, 10)  # of the largest campaign less


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    reason = backends.missing()
    if reason:
        pytest.skip(reason)
    made = Campaign(tmp_path_factory.mktemp("crash"), overrides={"compute": {"compute": {
        "reconcile_interval": 5, "tunnel_ip": "192.0.2.1"}}})
    try:
        yield Scene(made, made.start())
    finally:
        made.stop()


@pytest.mark.parametrize(("name", "way", "point"), CHOSEN_FLIPS, ids=str)
def test_change_survives(scene: Scene, name: str, way: str, point: Point) -> None:
    scene.flip(name, point, on=way == "on")
    assert bool(SWITCHES[name].is_on(scene)) == (way == "on")
    assert scene.sent() == scene.recorded()


@pytest.mark.parametrize(("distributed", "point"), share_of(SWAPS), ids=str)
def test_the_swap_of_a_running_router_survives(scene: Scene, distributed: bool, point: Point) -> None:
    scene.bring("down", on=False)
    scene.bring("elected host", on=distributed)
    scene.bring("floating IP there" if distributed else "floating IP", on=True)
    deaths = scene.campaign.deaths
    scene.campaign.arm(point)
    scene.campaign.db.write(lambda session: elections.swap(
        session, RequestContext.system(), session.get_one(Router, scene.router), 60, distributed=distributed))
    assert scene.campaign.wait_death(deaths), f"nothing passed {point}"
    scene.campaign.wait_whole()
    scene.campaign.disarm()
    scene.campaign.wait_rest()
    assert scene.show(f"routers/{scene.router}")["distributed"] == distributed
    assert scene.sent() == scene.recorded()
    [router] = scene.recorded()[0].network.routers
    assert (router.elected is None) == distributed and list(router.outside) == [HOST]


@pytest.mark.parametrize("point", _RECORDS, ids=str)
def test_of_two_requests_for_a_topology_one_makes_it_whoever_dies(scene: Scene, point: Point) -> None:
    scene.bring("topology", on=False)

    def ask() -> None:
        with contextlib.suppress(requests.ConnectionError):
            scene.client.get(_TOPOLOGY)

    deaths = scene.campaign.deaths
    scene.campaign.arm(point)
    at_once(ask, ask)
    assert scene.campaign.wait_death(deaths), f"nothing passed {point}"
    scene.campaign.wait_whole()
    scene.campaign.disarm()
    made = scene.client.get(_TOPOLOGY).json()["auto_allocated_topology"]
    scene.campaign.wait_rest()
    assert [network["id"] for network in _auto_allocated(scene)] == [made["id"]]


@pytest.mark.parametrize("point", share_of(TRACE), ids=str)
def test_the_tracing_of_a_packet_survives(scene: Scene, point: Point) -> None:
    deaths = scene.campaign.deaths
    scene.campaign.arm(point)
    operation = scene.campaign.db.write(lambda session: accept(
        session, RequestContext.system(), kinds.TRACE_PACKET, Target("port", scene.port),
        kinds.TracePacket(to=scene.forwarded, protocol="icmp"), lock=False).id)
    assert scene.campaign.wait_death(deaths), f"nothing passed {point}"
    scene.campaign.wait_rest()
    scene.campaign.disarm()
    with scene.campaign.db.reading() as session:
        assert notes.value(session, operation, notes.REPORT)["hops"]


def test_campaign_size(capsys: pytest.CaptureFixture[str]) -> None:
    """Say how many crash points there are."""
    with capsys.disabled():
        print(f"\ncrash campaign: {len(FLIPS)} points in {len(SWITCHES)} changes of routers and what they lead to, "
              f"{len(CHOSEN_FLIPS)} of them tried")
    assert len(FLIPS) >= 250
