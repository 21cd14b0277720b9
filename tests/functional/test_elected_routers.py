"""Routers for which one host leads outside: who is elected, what hosts are told, how clients see and move it."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from hostler.cmd import manage
from hostler.cmd import running as running_commands
from tests.harness import chosen_database, openstack_cli
from tests.harness.client import Client
from tests.harness.inprocess import ADMIN_PASSWORD, Cloud
from tests.harness.ports import wait_for
from tests.harness.router_calls import N, fault, made, put
from tests.harness.router_scene import Scene, other


@pytest.fixture
def scene(cloud: Cloud, client: Client) -> Any:
    made_scene = Scene(cloud, client, "10.61.0.0/24", distributed=False)
    yield made_scene
    made_scene.close()


def test_one_host_is_elected_and_both_know(scene: Scene) -> None:
    leader = scene.wait_elected()
    for number in (1, 2):
        wait_for(lambda number=number: [one.address for one in scene.told(number).floating] == [
            scene.floating["floating_ip_address"]], "the floating IP", 30)
        assert list(scene.told(number).outside) == [leader]
    assert scene.told(1).elected["tunnel_ip"] == f"192.0.2.{leader.removeprefix('host')}"
    shown = scene.client.get(f"{N}/routers/{scene.router}").json()["router"]
    assert (shown["distributed"], shown["ha"]) == (False, True)
    assert scene.states() == {leader: "active", other(leader): "standby"}
    agent = scene.agents()[leader]["id"]
    assert scene.router in [one["id"] for one in scene.client.get(f"{N}/agents/{agent}/l3-routers").json()["routers"]]
    # What changes about a floating IP, the elected host hears.
    put(scene.client, f"floatingips/{scene.floating['id']}", {"floatingip": {"port_id": None}}).raise_for_status()
    wait_for(lambda: scene.told(1).floating == scene.told(2).floating == (), "its end", 30)


def test_an_operator_moves_it(scene: Scene) -> None:
    leader = scene.wait_elected()
    agents = {host: agent["id"] for host, agent in scene.agents().items()}
    path = f"{N}/agents/{agents[leader]}/l3-routers"
    assert scene.client.delete(f"{N}/agents/{agents[other(leader)]}/l3-routers/{scene.router}").status_code == 409
    assert scene.client.delete(f"{path}/{scene.router}").status_code == 204
    assert scene.wait_elected(other(leader)) and scene.states()[other(leader)] == "active"
    for _ in range(2):  # the second one tells it all again
        assert scene.client.post(path, {"router_id": scene.router}).status_code == 201
    scene.wait_elected(leader)
    for body, status in (({}, 400), ({"router_id": "x"}, 404), ({"router_id": 5}, 400), ([], 400)):
        assert scene.client.post(path, body).status_code == status, body
    flat = made(scene.client, "router")["id"]
    assert fault(scene.client.post(path, {"router_id": flat})) == (409, "DVRL3CannotAssignToDvrAgent")
    assert fault(scene.client.delete(f"{path}/{flat}")) == (409, "RouterNotHostedByL3Agent")
    unserved = made(scene.client, "router", distributed=False)["id"]
    assert fault(scene.client.post(path, {"router_id": unserved})) == (409, "RouterSchedulingFailed")
    for router in (flat, unserved):
        scene.client.delete(f"{N}/routers/{router}").raise_for_status()


def test_another_host_takes_over(scene: Scene, cloud: Cloud) -> None:
    leader = scene.wait_elected()
    service = scene.client.get(f"/compute/v2.1/os-services?host={leader}&binary=nova-compute").json()["services"][0]
    where = f"/compute/v2.1/os-services/{service['id']}"
    scene.client.request("PUT", where, json={"forced_down": True}, headers={
        "OpenStack-API-Version": "compute 2.53"}).raise_for_status()
    try:
        scene.wait_elected(other(leader))
    finally:
        scene.client.request("PUT", where, json={"forced_down": False}, headers={
            "OpenStack-API-Version": "compute 2.53"}).raise_for_status()
    # It stays there when the first one is back, and follows the guests when the last one leaves.
    scene.wait_elected(other(leader))
    server = scene.servers[int(other(leader).removeprefix("host")) - 1]
    scene.client.delete(f"/compute/v2.1/servers/{server}").raise_for_status()
    scene.client.wait_gone(server)
    wait_for(lambda: scene.states() == {leader: "active"}, "the election of the host that has guests", 30)


def test_the_provider_is_swapped(scene: Scene) -> None:
    leader = scene.wait_elected()
    path = f"routers/{scene.router}"
    up = put(scene.client, path, {"router": {"distributed": True}})
    assert fault(up)[0] == 400 and "admin_state_up" in up.text
    for wrong in ({"distributed": True, "ha": True}, {"distributed": "x"}, {"ha": 5}):
        assert put(scene.client, path, {"router": wrong}).status_code == 400, wrong
    shown = put(scene.client, path, {"router": {"distributed": True, "admin_state_up": False}}).json()["router"]
    assert (shown["distributed"], shown["ha"], shown["admin_state_up"]) == (True, False, False)
    put(scene.client, path, {"router": {"admin_state_up": True}}).raise_for_status()
    wait_for(lambda: all(scene.told(number).elected is None and set(scene.told(number).outside) == {"host1", "host2"}
                         for number in (1, 2)), "each host's own way outside", 30)
    assert set(scene.states().values()) == {None}
    put(scene.client, path, {"router": {"ha": True, "admin_state_up": False}}).raise_for_status()
    put(scene.client, path, {"router": {"admin_state_up": True}}).raise_for_status()
    scene.wait_elected(leader)
    ports = scene.client.get(f"{N}/ports?device_id={scene.router}").json()["ports"]
    assert sorted(port["device_owner"] for port in ports) == ["network:router_gateway", "network:router_interface"]


def test_a_running_router_changes_its_provider(scene: Scene, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
                                               capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "hostler.conf"
    config.write_text(f"[database]\nconnection = {chosen_database.url_of(scene.cloud.directory / 'cloud.db')}\n")
    monkeypatch.setattr(running_commands, "set_up_logging", lambda *_: None)  # of this process, it is the tests' own

    def command(*words: str) -> str:
        monkeypatch.setattr(sys, "argv", ["hostler-manage", "--config-file", str(config), "router", "set", *words])
        try:
            manage.main()
        except SystemExit as end:
            return str(end.code)
        return capsys.readouterr().out

    leader = scene.wait_elected()
    told = {port: scene.address(port) for port in scene.ports}
    assert "Flat" in command(scene.router, "--provider", "Flat")
    wait_for(lambda: all(scene.told(number).elected is None and set(scene.told(number).outside) == {"host1", "host2"}
                         for number in (1, 2)), "each host's own way outside", 30)
    shown = scene.client.get(f"{N}/routers/{scene.router}").json()["router"]
    assert (shown["distributed"], shown["admin_state_up"]) == (True, True)
    for _ in range(2):
        assert "VirtualRouter" in command(scene.router, "--provider", "VirtualRouter")
    assert scene.wait_elected(leader) == leader and {port: scene.address(port) for port in scene.ports} == told
    assert "could not be found" in command("nowhere", "--provider", "Flat")


def test_the_openstack_client_makes_swaps_and_moves_it(scene: Scene, tmp_path: Path) -> None:
    reason = openstack_cli.missing()
    if reason:
        pytest.skip(reason)
    login = openstack_cli.login(scene.cloud.url, ADMIN_PASSWORD, tmp_path)

    def run(*words: str, plain: bool = False) -> Any:
        done = openstack_cli.run([*words, *(() if plain else ("-f", "json"))], login)
        assert done.returncode == 0, (words, done.stderr)
        return None if plain else json.loads(done.stdout)

    assert run("router", "create", "--centralized", "c1")["distributed"] is False
    assert run("router", "create", "--ha", "c2")["distributed"] is False
    assert run("router", "create", "--distributed", "c3")["ha"] is False
    run("router", "set", "--disable", "--distributed", "c1", plain=True)
    assert run("router", "show", "c1")["distributed"] is True
    refused = openstack_cli.run(["router", "set", "--distributed", "c2"], login)
    assert refused.returncode != 0 and "admin_state_up" in refused.stderr
    assert [one["Name"] for one in run("network", "service", "provider", "list")] == ["Flat", "VirtualRouter"]
    leader = scene.wait_elected()
    listed = {one["Host"]: one for one in run("network", "agent", "list", "--router", scene.router, "--long")}
    assert {host: one["HA State"] for host, one in listed.items()} == {leader: "active", other(leader): "standby"}
    run("network", "agent", "remove", "router", "--l3", listed[leader]["ID"], scene.router, plain=True)
    scene.wait_elected(other(leader))
    run("network", "agent", "add", "router", "--l3", listed[leader]["ID"], scene.router, plain=True)
    scene.wait_elected(leader)
    assert scene.router in [one["ID"] for one in run("router", "list", "--agent", listed[leader]["ID"])]
    run("router", "delete", "c1", "c2", "c3", plain=True)


def test_providers_are_listed(client: Client) -> None:
    listed = client.get(f"{N}/service-providers").json()["service_providers"]
    assert [(one["name"], one["default"]) for one in listed] == [("Flat", True), ("VirtualRouter", False)]
    assert client.get(f"{N}/service-providers?default=false").json()["service_providers"] == listed[1:]
    assert client.get(f"{N}/service-providers?colour=red").status_code == 400


def test_one_that_its_watchers_do_not_hear_is_replaced_before_its_lease_ends(scene: Scene, cloud: Cloud) -> None:
    leader = scene.wait_elected()
    hosts = {name: agent.tools.network for name, agent in cloud.agents.items()}
    watcher = hosts[other(leader)].leaders
    address = f"192.0.2.{leader.removeprefix('host')}"
    wait_for(lambda: watcher.seen() == {leader: None}, "the watch of the elected host")
    watcher.echo.answering.add(address)
    wait_for(lambda: watcher.seen() == {leader: True}, "its answer")
    watcher.echo.answering.clear()
    # Its agent answers: the other host may be the one that is cut off.
    wait_for(lambda: watcher.seen() == {leader: False}, "its silence")
    scene.wait_elected(leader)
    agent = cloud.agents[leader]
    agent._link.stop_serving(5)
    try:
        since = time.monotonic()
        wait_for(lambda: scene.states()[other(leader)] == "active", "another host's election", 30)
        assert time.monotonic() - since < 5  # its reports go on, so its lease does not end
    finally:
        agent._link.serve(agent.manager)
    # Back, it is told, and watches the other one in its turn.
    scene.wait_elected(other(leader))
    wait_for(lambda: hosts[leader].leaders.seen() == {other(leader): None}, "the watch of the new one")
