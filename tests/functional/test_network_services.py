"""Who gives a network's services: what the records say, what hosts are told, what is refused and why."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.core.network import agents, services
from api.core.network.scope import Caller
from hostler import errors
from hostler.cmd import manage
from hostler.cmd import running as running_commands
from hostler.context import RequestContext
from hostler.resources.network import kinds
from tests.harness import chosen_database
from tests.harness.client import Client
from tests.harness.inprocess import Cloud
from tests.harness.people import make_project
from tests.harness.ports import wait_for
from tests.harness.router_calls import N, gate, made, net, put
from tests.harness.router_scene import Scene, other

ROUTED = {"VirtualRouter": ["DHCP", "DNS"]}


@pytest.fixture
def caller(cloud: Cloud) -> Caller:
    return Caller.of(cloud.api.services, RequestContext.system())


@pytest.fixture
def scene(cloud: Cloud, client: Client) -> Iterator[Scene]:
    made_scene = Scene(cloud, client, "10.62.0.0/24", distributed=False)
    made_scene.wait_elected()
    yield made_scene
    made_scene.close()


def given(caller: Caller, network: str) -> dict[str, str]:
    return {ref.service: ref.provider for ref in services.list_services(caller, network)}


def wait_told(scene: Scene, **providers: str) -> None:
    def told() -> bool:
        return all(scene.cloud.agents[f"host{number}"].tools.network.plugged[port].network.providers == providers
                   for number, port in enumerate(scene.ports, 1))
    wait_for(told, f"the hosts' knowledge of {providers}", 30)


def refused(error: pytest.ExceptionInfo[errors.HostlerError], *words: str) -> bool:
    return all(word in str(error.value) for word in words)


@pytest.mark.contract("Z-FLATNET", "Z-PROVIDERSWAP")
def test_the_router_provider_is_replaced_by_the_flat_one(scene: Scene, caller: Caller) -> None:
    services.attach_services(caller, scene.network, {})
    services.detach_services(caller, scene.network, {"Flat": ["DHCP", "DNS"]})
    services.attach_services(caller, scene.network, ROUTED)
    wait_told(scene, DHCP="VirtualRouter", DNS="VirtualRouter")
    assert given(caller, scene.network) == {
        "DHCP": "VirtualRouter", "DNS": "VirtualRouter", "Userdata": "Flat", "SNAT": "VirtualRouter",
        "Eip": "VirtualRouter", "PortForwarding": "VirtualRouter", "SecurityGroup": "Flat"}
    # The elected host knows the guests of both.
    def places() -> set[str]:
        shown = [scene.client.get(f"{N}/ports/{one}").json()["port"] for one in scene.ports]
        return {f"{port['mac_address']} {port['fixed_ips'][0]['ip_address']} 192.0.2.{number} " + json.dumps(
            {"id": port["id"], "name": port["dns_name"] or "one", "options": port["extra_dhcp_opts"]},
            sort_keys=True)
            for number, port in enumerate(shown, 1)}

    def wait_places() -> None:
        for agent in (scene.cloud.agents["host1"], scene.cloud.agents["host2"]):
            wait_for(lambda agent=agent: set(agent.tools.network.groups[kinds.key(scene.network)]) == places(),
                     "the guests' places", 30)

    wait_places()
    changed = scene.client.request("PUT", f"{N}/ports/{scene.ports[0]}", json={"port": {
        "dns_name": "web", "extra_dhcp_opts": [{"opt_name": "mtu", "opt_value": "1300", "ip_version": 4}]}})
    assert changed.status_code == 200, changed.text
    wait_places()
    addresses = {port: scene.address(port) for port in scene.ports}

    # As ZStack's release notes have it, in that order.
    assert {agent.host for agent in agents.agents_of_network(caller, scene.network)} == {"host1", "host2"}
    left = services.detach_services(caller, scene.network, ROUTED)
    assert agents.agents_of_network(caller, scene.network) == []
    assert {"DHCP", "DNS"}.isdisjoint(ref.service for ref in left)
    assert services.list_providers(caller, scene.network) == ["Flat", "VirtualRouter"]
    services.attach_provider(caller, scene.network, "Flat")
    for _ in range(2):
        services.attach_services(caller, scene.network, {"Flat": ["DHCP", "Userdata"]})
    assert given(caller, scene.network)["DHCP"] == "Flat" and "DNS" not in given(caller, scene.network)
    wait_told(scene, DNS="")
    leader = scene.wait_elected()
    found = {agent.host: agent for agent in agents.agents_of_router(caller, scene.router)}
    assert {host: agent.ha_state for host, agent in found.items()} == {leader: "active", other(leader): "standby"}
    agents.remove_router(caller, found[leader].id, scene.router)  # its appliance is destroyed, and made elsewhere
    scene.wait_elected(other(leader))
    assert all(agent.alive for agent in agents.list_agents(caller))
    restarted = scene.cloud.agents[leader]
    restarted.stop()
    scene.cloud.agents[leader] = scene.cloud.make_agent(leader)
    scene.cloud.agents[leader].start()
    wait_told(scene, DNS="")
    assert {port: scene.address(port) for port in scene.ports} == addresses


def test_a_network_without_routers_is_served_by_each_host(caller: Caller, client: Client) -> None:
    network, _ = net(client, "10.63.0.0/24")
    assert given(caller, network) == dict.fromkeys(("DHCP", "DNS", "Userdata", "SecurityGroup"), "Flat")
    assert services.list_providers(caller, network) == ["Flat"]
    with pytest.raises(errors.Conflict) as error:
        services.attach_provider(caller, network, "VirtualRouter")
    assert refused(error, network, "no router", "elects")
    with pytest.raises(errors.Conflict):
        services.detach_services(caller, network, {"Flat": ["SecurityGroup"]})
    assert agents.agents_of_network(caller, network) == []  # no guest is there
    services.detach_services(caller, network, {"Flat": ["DHCP", "Userdata"], "VirtualRouter": ["DNS"]})
    assert given(caller, network) == {"DNS": "Flat", "SecurityGroup": "Flat"}
    with pytest.raises(errors.Conflict) as error:
        services.attach_services(caller, network, {"VirtualRouter": ["DHCP"]})
    assert refused(error, "no router") and "DHCP" not in given(caller, network)


def test_what_is_not_possible_is_refused_by_name(scene: Scene, caller: Caller) -> None:
    revision = scene.client.get(f"{N}/networks/{scene.network}").json()["network"]["revision_number"]
    for wanted, said in (({"VirtualRouter": ["Userdata"]}, ("Userdata", "Flat", "detach it first")),
                         ({"VirtualRouter": ["DHCP"]}, ("DHCP", "Flat", "detach it first")),
                         ({"Flat": ["SNAT"]}, ("SNAT", "VirtualRouter", "detach it first"))):
        with pytest.raises(errors.Conflict) as error:
            services.attach_services(caller, scene.network, wanted)
        assert refused(error, *said)
    for wanted, field in (({"Vyatta": ["DHCP"]}, "provider"), ({"Flat": ["LoadBalancer"]}, "service"),
                          ({"Flat": ["DHCP"], "VirtualRouter": ["DHCP"]}, "services")):
        with pytest.raises(errors.InvalidField) as invalid:
            services.attach_services(caller, scene.network, wanted)
        assert invalid.value.fields["field"] == field
    for service in ("SNAT", "Eip", "PortForwarding", "SecurityGroup"):
        with pytest.raises(errors.Conflict) as error:
            services.detach_services(caller, scene.network, {given(caller, scene.network)[service]: [service]})
        assert refused(error, service, "cannot be detached")
    services.detach_services(caller, scene.network, {"Flat": ["Userdata"]})
    with pytest.raises(errors.Conflict) as error:
        services.attach_services(caller, scene.network, {"VirtualRouter": ["Userdata"]})
    assert refused(error, "Userdata", "metadata of its own guests alone")
    services.attach_services(caller, scene.network, {"Flat": ["Userdata"]})
    shown = scene.client.get(f"{N}/networks/{scene.network}").json()["network"]
    assert shown["revision_number"] == revision + 2
    # Each host has a bridge of its own: nobody else's server is heard there.
    alone, subnet = net(scene.client, "10.64.0.0/24", **{"provider:network_type": "flat"})
    put(scene.client, f"routers/{scene.router}/add_router_interface", {"subnet_id": subnet}).raise_for_status()
    services.detach_services(caller, alone, {"Flat": ["DHCP"]})
    with pytest.raises(errors.Conflict) as error:
        services.attach_services(caller, alone, {"VirtualRouter": ["DHCP"]})
    assert refused(error, "nothing joins")
    put(scene.client, f"routers/{scene.router}/remove_router_interface", {"subnet_id": subnet}).raise_for_status()


def test_a_router_that_goes_leaves_nobody_unserved(scene: Scene, caller: Caller) -> None:
    services.detach_services(caller, scene.network, {"Flat": ["DHCP", "DNS"]})
    services.attach_services(caller, scene.network, ROUTED)
    for without, again in (({"admin_state_up": False}, {"admin_state_up": True}),):
        put(scene.client, f"routers/{scene.router}", {"router": without}).raise_for_status()
        shown = given(caller, scene.network)
        assert (shown["DHCP"], shown["DNS"]) == ("Flat", "Flat") and "SNAT" not in shown
        put(scene.client, f"routers/{scene.router}", {"router": again}).raise_for_status()
        assert given(caller, scene.network)["DHCP"] == "VirtualRouter"
    put(scene.client, f"floatingips/{scene.floating['id']}", {"floatingip": {"port_id": None}}).raise_for_status()
    gate(scene.client, scene.router, None).raise_for_status()
    assert given(caller, scene.network)["DHCP"] == "Flat"


def test_owners_change_their_networks(scene: Scene, cloud: Cloud, client: Client) -> None:
    stranger = Caller.of(cloud.api.services, RequestContext(
        user_id="u", project_id=make_project(client, "services-of-others"), roles=["member"]))
    network = made(client, "network", name="shared", shared=True)["id"]
    for call in (services.attach_services, services.detach_services):
        with pytest.raises(errors.NotFound):
            call(stranger, scene.network, {"Flat": ["DHCP"]})
        with pytest.raises(errors.Forbidden):
            call(stranger, network, {"Flat": ["DHCP"]})
    with pytest.raises(errors.Forbidden):
        services.attach_provider(stranger, network, "Flat")


def test_an_operator_chooses(scene: Scene, caller: Caller, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
                             capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "hostler.conf"
    config.write_text(f"[database]\nconnection = {chosen_database.url_of(scene.cloud.directory / 'cloud.db')}\n")
    monkeypatch.setattr(running_commands, "set_up_logging", lambda *_: None)

    def command(*words: str) -> str:
        monkeypatch.setattr(sys, "argv", ["hostler-manage", "--config-file", str(config), "network", "services",
                                          *words])
        try:
            manage.main()
        except SystemExit as end:
            return str(end.code)
        return capsys.readouterr().out

    def shown(*words: str) -> Any:
        return dict(line.split() for line in command(*words).splitlines())

    assert shown("show", scene.network)["DHCP"] == "Flat"
    assert shown("set", scene.network, "DHCP=VirtualRouter", "DNS=none")["DNS"] == "none"
    wait_told(scene, DHCP="VirtualRouter", DNS="")
    assert "all must be named alike" in command("set", scene.network, "SNAT=Flat", "DHCP=Flat")
    assert given(caller, scene.network)["DHCP"] == "VirtualRouter"
    now = shown("set", scene.network, "SNAT=Flat", "Eip=Flat", "PortForwarding=Flat", "DHCP=Flat", "DNS=Flat")
    assert set(now.values()) == {"Flat"}
    wait_told(scene)
    wait_for(lambda: all(scene.told(number).elected is None for number in (1, 2)), "each host's own way outside", 30)
    again = shown("set", scene.network, "SNAT=VirtualRouter", "Eip=VirtualRouter", "PortForwarding=VirtualRouter",
                  "DNS=VirtualRouter")
    assert (again["SNAT"], again["DNS"], again["DHCP"]) == ("VirtualRouter", "VirtualRouter", "Flat")
    wait_told(scene, DNS="VirtualRouter")
    scene.wait_elected()
    assert "could not be found" in command("show", "nowhere") and "There are" in command("set", scene.network, "X=Flat")
