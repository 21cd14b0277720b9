"""hostler-manage trace-packet: what drops a packet is named, whether records or a host's kernel say so."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hostler.cmd import manage, reports
from hostler.cmd import running as running_commands
from tests.harness import chosen_database
from tests.harness.client import Client
from tests.harness.inprocess import Cloud
from tests.harness.two_projects import external_network

Trace = Callable[..., tuple[int, dict[str, Any]]]
_NET = "/network/v2.0"


class Scene:
    """Two hosts: `a` and `b` are on one VXLAN network on host1 and host2, `c` is on another one on host2, with a group
    of its own that lets nothing in; a router leads to both networks."""

    def __init__(self, cloud: Cloud, client: Client) -> None:
        self.cloud, self.client = cloud, client
        self.first, self.second = (self.make("network", {"name": name, "provider:network_type": "vxlan"})
                                   for name in ("first", "second"))
        self.subnets = [self.make("subnet", {"network_id": network, "ip_version": 4, "cidr": f"10.{number}.0.0/24"})
                        for number, network in ((61, self.first), (62, self.second))]
        self.closed = self.make("security_group", {"name": "closed"})
        image = client.make_image()
        self.a, self.b = (self.boot(image, self.first, host) for host in ("host1", "host2"))
        self.c = self.boot(image, self.second, "host2", security_groups=[self.closed])
        self.router = self.make("router", {})
        for subnet in self.subnets:
            self.put(f"routers/{self.router}/add_router_interface", {"subnet_id": subnet})

    def make(self, noun: str, values: dict[str, Any]) -> str:
        made = self.client.post(f"{_NET}/{noun.replace('_', '-')}s", {noun: values})
        assert made.status_code == 201, made.text
        return str(made.json()[noun]["id"])

    def put(self, path: str, body: dict[str, Any]) -> None:
        self.client.request("PUT", f"{_NET}/{path}", json=body).raise_for_status()

    def boot(self, image: str, network: str, host: str, **values: Any) -> str:
        """Boot a server with a port; returns the port."""
        port = self.make("port", {"network_id": network, **values})
        self.client.wait_server(self.client.create_server(
            image, networks=[{"port": port}], availability_zone=f"nova:{host}"), "ACTIVE")
        return port

    def address(self, port: str) -> str:
        return str(self.client.get(f"{_NET}/ports/{port}").json()["port"]["fixed_ips"][0]["ip_address"])

    def let_in(self, **rule: Any) -> str:
        return self.make("security_group_rule", {"security_group_id": self.closed, "direction": "ingress", **rule})

    def network_of(self, host: str) -> Any:
        return self.cloud.agents[host].tools.network


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    cloud = Cloud(tmp_path_factory.mktemp("cloud"), hosts=2, nodes=0, overrides={"conductor.poll_interval": 0.05})
    try:
        yield Scene(cloud, cloud.start())
    finally:
        cloud.stop()


@pytest.fixture
def trace(scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Trace:
    """hostler-manage trace-packet, as typed: returns its exit status and report."""
    config = tmp_path / "hostler.conf"
    config.write_text(f"[database]\nconnection = {chosen_database.url_of(scene.cloud.directory / 'cloud.db')}\n")
    monkeypatch.setattr(reports, "_LOOK_EVERY_S", 0.02)
    monkeypatch.setattr(running_commands, "set_up_logging", lambda *_: None)  # of this process, it is the tests' own

    def call(*words: str) -> tuple[int, dict[str, Any]]:
        monkeypatch.setattr(sys, "argv", ["hostler-manage", "--config-file", str(config), "trace-packet", *words])
        with pytest.raises(SystemExit) as end:
            manage.main()
        said = capsys.readouterr().out
        status = end.value.code if isinstance(end.value.code, int) else 3
        return status, json.loads(said) if "--json" in words and said else {"text": said or str(end.value.code)}

    return call


def _dropped(found: tuple[int, dict[str, Any]]) -> tuple[str, str]:
    status, report = found
    assert (status, report["verdict"]) == (1, "drop"), report
    assert [hop["state"] for hop in report["hops"]].count("drop") == 1
    return report["hops"][-1]["where"], report["hops"][-1]["what"]


def test_nothing_drops_what_members_of_one_group_send(scene: Scene, trace: Trace) -> None:
    status, report = trace(scene.a, scene.b, "--protocol", "tcp", "--port", "80", "--json")
    assert (status, report["verdict"]) == (0, "ok"), report
    assert [hop["where"] for hop in report["hops"]] == ["host1", "host1", "host1", "host2", "host2"]
    status, report = trace(scene.a, scene.address(scene.b))
    assert status == 0 and "Nothing on the way drops it." in report["text"]


def test_a_group_without_a_rule_for_it_is_named(scene: Scene, trace: Trace) -> None:
    where, what = _dropped(trace(scene.a, scene.c, "--protocol", "tcp", "--port", "22", "--json"))
    assert where == "host2" and "no ingress rule" in what and f"closed ({scene.closed})" in what
    rule = scene.let_in(protocol="tcp", port_range_min=22, port_range_max=22, remote_ip_prefix="10.61.0.0/24")
    assert trace(scene.a, scene.c, "--protocol", "tcp", "--port", "22", "--json")[0] == 0
    assert trace(scene.a, scene.c, "--protocol", "tcp", "--port", "23", "--json")[0] == 1
    scene.client.delete(f"{_NET}/security-group-rules/{rule}")


def test_what_a_kernel_lacks_is_named(scene: Scene, trace: Trace) -> None:
    network = scene.network_of("host1")
    network.lacking = {scene.first: ["forwarding line fa:16:3e:00:00:01 → 192.0.2.2 of its tunnel"]}
    assert "forwarding line fa:16:3e:00:00:01" in _dropped(trace(scene.a, scene.b, "--json"))[1]
    network.repair()
    network.differences = [{"type": "router", "id": scene.router, "what": "its namespace", "leftover": False}]
    assert "its namespace is missing" in _dropped(trace(scene.a, scene.c, "--json"))[1]
    network.differences = [{"type": "network", "id": scene.first, "what": "its rules in table bridge x",
                            "leftover": False}]
    status, report = trace(scene.a, scene.b, "--json")
    assert (status, report["verdict"]) == (2, "doubt"), report
    network.repair()


@pytest.mark.parametrize("noun", ["port", "router"])
def test_what_is_switched_off_is_named(scene: Scene, trace: Trace, noun: str) -> None:
    path = f"ports/{scene.b}" if noun == "port" else f"routers/{scene.router}"
    scene.put(path, {noun: {"admin_state_up": False}})
    where, what = _dropped(trace(scene.a, scene.b if noun == "port" else scene.c, "--json"))
    assert where == ("host2" if noun == "port" else "host1") and f"{noun} " in what and "is switched off" in what
    scene.put(path, {noun: {"admin_state_up": True}})


def test_the_way_outside_and_in_by_a_floating_ip(scene: Scene, trace: Trace) -> None:
    assert "no external gateway" in _dropped(trace(scene.a, "198.51.100.7", "--json"))[1]
    outside = external_network(scene.client)
    scene.put(f"routers/{scene.router}", {"router": {"external_gateway_info": {"network_id": outside}}})
    status, report = trace(scene.a, "198.51.100.7", "--json")
    assert status == 0 and "SNAT" in report["hops"][-2]["what"], report
    made = scene.client.post(f"{_NET}/floatingips", {"floatingip": {
        "floating_network_id": outside, "port_id": scene.c}}).json()["floatingip"]
    rule = scene.let_in(protocol="icmp")
    status, report = trace(scene.a, made["floating_ip_address"], "--json")
    assert status == 0 and any("is translated to" in hop["what"] for hop in report["hops"]), report
    scene.network_of("host2").inspect = lambda _places: {"differences": [], "addresses": {}, "lacking": {}}
    assert "does not have address" in _dropped(trace(scene.a, made["floating_ip_address"], "--json"))[1]
    del scene.network_of("host2").inspect
    scene.client.delete(f"{_NET}/floatingips/{made['id']}")
    scene.client.delete(f"{_NET}/security-group-rules/{rule}")
    scene.put(f"routers/{scene.router}", {"router": {"external_gateway_info": None}})


def test_the_way_outside_by_an_elected_host(scene: Scene, trace: Trace) -> None:
    outside = external_network(scene.client)
    scene.put(f"routers/{scene.router}", {"router": {"external_gateway_info": {"network_id": outside}}})
    scene.put(f"routers/{scene.router}", {"router": {"distributed": False, "admin_state_up": False}})
    scene.put(f"routers/{scene.router}", {"router": {"admin_state_up": True}})
    ways = {}
    for port, host in ((scene.a, "host1"), (scene.c, "host2")):
        status, report = trace(port, "198.51.100.7", "--json")
        assert status == 0 and "SNAT" in report["hops"][-2]["what"], report
        ways[host] = [hop["what"] for hop in report["hops"] if "leads outside for it" in hop["what"]]
    [led] = [host for host, said in ways.items() if said]
    assert f"to host {'host1' if led == 'host2' else 'host2'}" in ways[led][0]
    scene.put(f"routers/{scene.router}", {"router": {"external_gateway_info": None}})


def test_ipv6_goes_through_routers_as_it_is(scene: Scene, trace: Trace) -> None:
    image, outside = scene.client.make_image(), external_network(scene.client)
    routers, ports = [], []
    for number, host in ((71, "host1"), (72, "host2")):
        network = scene.make("network", {"provider:network_type": "vxlan"})
        subnets = [scene.make("subnet", {"network_id": network, **values}) for values in (
            {"ip_version": 4, "cidr": f"10.{number}.0.0/24"}, {"ip_version": 6, "cidr": f"2001:db8:{number}::/64"})]
        routers.append(scene.make("router", {}))
        for subnet in subnets:
            scene.put(f"routers/{routers[-1]}/add_router_interface", {"subnet_id": subnet})
        ports.append(scene.boot(image, network, host))
    first, second = ports
    addresses = [next(fixed["ip_address"] for fixed in scene.client.get(f"{_NET}/ports/{port}").json()["port"][
        "fixed_ips"] if ":" in fixed["ip_address"]) for port in ports]
    assert "no external gateway" in _dropped(trace(first, "2001:db8:ffff::7", "--json"))[1]
    for router in routers:
        scene.put(f"routers/{router}", {"router": {"external_gateway_info": {"network_id": outside}}})
    assert "no IPv6 address on external network" in _dropped(trace(first, "2001:db8:ffff::7", "--json"))[1]
    scene.make("subnet", {"network_id": outside, "ip_version": 6, "cidr": "2001:db8::/64"})
    status, report = trace(first, "2001:db8:ffff::7", "--json")
    assert (status, report["verdict"]) == (2, "doubt"), report
    assert report["from"].startswith(f"port {first} (2001:db8:71:")
    assert any("IPv6 is not translated" in hop["what"] for hop in report["hops"])
    assert f"route to {addresses[0]} by 2001:db8::" in report["hops"][-1]["what"]
    # Another project's router, by the external network: its group lets members in alone.
    status, report = trace(first, addresses[1], "--protocol", "tcp", "--port", "22", "--json")
    assert status == 2 and report["to"].startswith(f"port {second} "), report
    said = [hop["what"] for hop in report["hops"]]
    assert any(f"route to {addresses[1]} by 2001:db8::" in what for what in said), said
    assert any(f"router {routers[1]} sends it to network" in what for what in said), said
    scene.network_of("host1").inspect = lambda _places: {"differences": [], "addresses": {}, "lacking": {}}
    assert "does not have address 2001:db8::" in _dropped(trace(first, addresses[1], "--json"))[1]
    del scene.network_of("host1").inspect


def test_a_network_without_a_physical_network_stays_on_its_host(scene: Scene, trace: Trace) -> None:
    flat = scene.make("network", {"provider:network_type": "flat"})
    scene.make("subnet", {"network_id": flat, "ip_version": 4, "cidr": "10.63.0.0/24"})
    image = scene.client.make_image()
    one, two = (scene.boot(image, flat, host) for host in ("host1", "host2"))
    assert "has no physical network" in _dropped(trace(one, two, "--json"))[1]


def test_bad_words_are_refused(scene: Scene, trace: Trace) -> None:
    for words, said in (((scene.a, "nowhere"), "TO"), ((scene.a, scene.b, "--protocol", "tcp"), "--port"),
                        ((scene.a, scene.b, "--protocol", "carrier-pigeon"), "--protocol"),
                        ((scene.a, scene.b, "--port", "80"), "--port"), ((scene.router, scene.b), "port")):
        assert said in trace(*words)[1]["text"]
