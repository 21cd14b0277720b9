"""A security group's members were read and sent whole with every boot, so that boots slowed down as groups grew.

What changed is sent instead. It must come to the same: a member that left is out on every host, in whatever order the
messages arrive, also when the host missed some.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import orm

from compute.groups import Members
from compute.virt.fake.network import FakeNetworkPlumbing
from hostler import conf as hostler_conf
from hostler import errors, ids
from hostler.agent.faults import Faults, Order
from hostler.context import RequestContext
from hostler.db.models import Server
from hostler.resources.network import port_specs, ports
from tests.harness.client import Client
from tests.harness.inprocess import Cloud
from tests.harness.network_core import DEMO, USER
from tests.harness.network_rest import Api
from tests.harness.ports import wait_for

SMALL, RECENT, KEPT = 3, 6, 12


class Scene:
    """A group of six ports, and a host that is sent its members."""

    def __init__(self, api: Api) -> None:
        self.api, self.db = api, api.db
        self.asked: list[int | None] = []
        self.faults = Faults()
        self.network = FakeNetworkPlumbing(self.faults)
        self.host = Members(self.network, self._answer)
        self.network_id = api.make("network", "networks", name="n")["id"]
        self.subnet_id = api.make("subnet", "subnets", network_id=self.network_id, cidr="10.0.0.0/24",
                                  ip_version=4, allocation_pools=[
                                      {"start": "10.0.0.10", "end": "10.0.0.150"}])["id"]
        self.group = api.make("security_group", "security-groups", name="g")["id"]
        self.ports = [self.join() for _ in range(6)]

    def remove(self) -> None:
        """Leave nothing that counts against the project's quota."""
        for port in self.api.call("GET", f"/v2.0/ports?network_id={self.network_id}")["ports"]:
            self.api.call("DELETE", f"/v2.0/ports/{port['id']}", status=204)
        self.api.call("DELETE", f"/v2.0/security-groups/{self.group}", status=204)

    def _answer(self, known: dict[str, int | None]) -> dict[str, Any]:
        self.asked.extend(known.values())
        with self.db.reading() as session:
            return port_specs.missed_members(session, known)

    def join(self, **values: Any) -> str:
        return str(self.api.make("port", "ports", network_id=self.network_id, security_groups=[self.group],
                                 **values)["id"])

    def leave(self) -> None:
        self.api.call("DELETE", f"/v2.0/ports/{self.ports.pop(0)}", status=204)

    def update(self, port_id: str, token: str = "demo:admin,member,reader", **values: Any) -> None:
        self.api.call("PUT", f"/v2.0/ports/{port_id}", {"port": values}, token=token)

    def change(self, times: int = 1) -> None:
        for _ in range(times):
            self.ports.append(self.join())
            self.leave()

    def message(self) -> dict[str, Any]:
        with self.db.reading() as session:
            return port_specs.group_members(session, [self.group])

    def members(self) -> list[str]:
        """What the records say."""
        with self.db.reading() as session:
            told = port_specs.missed_members(session, {self.group: None})[self.group]
        return sorted({member for port in told["ports"].values() for member in port})

    def check(self) -> None:
        """The host has exactly the members that the records have."""
        assert sorted(self.network.groups[self.group]) == self.members()


@pytest.fixture
def scene(network_api: Api, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    for name, value in (("SMALL", SMALL), ("RECENT", RECENT), ("KEPT", KEPT)):
        monkeypatch.setattr(port_specs, name, value)
    made = Scene(network_api)
    made.host.take(made.message())
    made.check()
    assert made.asked == [None], "it knew nothing"
    yield made
    made.remove()


def test_messages_have_what_changed_and_come_to_the_same(scene: Scene) -> None:
    for _ in range(4):
        scene.change(2)
        message = scene.message()
        assert len(message[scene.group]["ports"]) <= RECENT
        scene.host.take(message)
        scene.check()
        assert len(scene.members()) == 6
    assert scene.asked == [None]


CHANGES: dict[str, Callable[[Scene], Any]] = {
    "joins": lambda scene: scene.join(),
    "leaves by deletion": Scene.leave,
    "leaves": lambda scene: scene.update(scene.ports[0], security_groups=[]),
    "moves": lambda scene: scene.update(scene.ports[0], fixed_ips=[{"ip_address": "10.0.0.200"}]),
    "other MAC": lambda scene: scene.update(scene.ports[0], mac_address="fa:16:3e:ff:ff:ff"),
    "pair": lambda scene: scene.update(scene.ports[0], allowed_address_pairs=[{"ip_address": "10.1.0.0/24"}]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_of_a_member_is_counted(scene: Scene, change: str) -> None:
    before = scene.members()
    CHANGES[change](scene)
    scene.host.take(scene.message())
    scene.check()
    assert scene.members() != before and scene.asked == [None]


def test_ports_of_servers_are_counted(scene: Scene) -> None:
    server = Server(id=ids.new_id(), name="vm", hostname="vm", project_id=DEMO, user_id=USER, vm_state="building",
                    flavor_id="f", vcpus=1, ram_mib=64, root_gib=1)
    conf = hostler_conf.load(config_files=[])
    context = RequestContext(project_id=DEMO, user_id=USER, roles=["member", "reader"])

    def release(session: orm.Session) -> None:
        ports.release_ports(session, server.id)

    def bind(session: orm.Session) -> None:
        session.add(server)
        session.flush()
        ports.bind_ports(scene.db, session, conf, context, server_id=server.id, hostname="vm",
                         requests=[ports.NetworkRequest(network_id=scene.network_id)], security_groups=[scene.group])

    for work, count in ((bind, 7), (release, 6)):
        scene.db.write(work)
        scene.host.take(scene.message())
        scene.check()
        assert len(scene.members()) == count


def test_a_host_that_missed_changes_asks_for_them(scene: Scene) -> None:
    known = scene.host.known()[scene.group]
    scene.change(RECENT)
    scene.host.take(scene.message())
    assert scene.asked == [None, known]
    scene.check()


def test_a_host_that_missed_too_much_gets_all(scene: Scene) -> None:
    scene.change(2 * KEPT)
    scene.db.write(port_specs.prune_changes)
    scene.host.take(scene.message())
    scene.check()


def test_an_older_message_changes_nothing(scene: Scene) -> None:
    scene.change()
    late = scene.message()
    scene.change()
    scene.host.take(scene.message())
    scene.host.take(late)
    scene.check()


def test_a_group_that_shrinks_and_grows_again(scene: Scene) -> None:
    while len(scene.ports) > SMALL:
        scene.leave()
    message = scene.message()
    assert "members" in message[scene.group]
    scene.host.take(message)
    assert len(scene.network.groups[scene.group]) == SMALL
    scene.change()
    scene.ports.append(scene.join())
    scene.host.take(scene.message())
    scene.check()


def test_what_could_not_be_applied_comes_with_the_next_message(scene: Scene) -> None:
    scene.change()
    scene.faults.order(Order(step="network.update_groups", action="fail"))
    with pytest.raises(errors.AgentError):
        scene.host.take(scene.message())
    scene.host.take(scene.message())
    scene.check()


def test_an_address_that_two_ports_have_stays_while_one_is_a_member(scene: Scene) -> None:
    first = scene.api.call("GET", f"/v2.0/ports/{scene.ports[0]}")["port"]
    scene.update(scene.ports[1], allowed_address_pairs=[
        {"ip_address": first["fixed_ips"][0]["ip_address"], "mac_address": first["mac_address"]}])
    scene.leave()
    scene.host.take(scene.message())
    scene.check()
    assert f"{first['mac_address']} {first['fixed_ips'][0]['ip_address']}/32" in scene.network.groups[scene.group]


def test_hosts_of_a_cloud_ask_for_what_they_lack(cloud: Cloud, client: Client, image: str,
                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    """Over the bus: each host knows the addresses of all servers of the group, and forgets those that go."""
    for name, value in (("SMALL", 0), ("RECENT", 0)):
        monkeypatch.setattr(port_specs, name, value)
    servers = [client.create_server(image, f"member-{number}") for number in range(3)]
    addresses = {server: client.wait_server(server, "ACTIVE")["addresses"] for server in servers}
    group = client.get("/network/v2.0/security-groups?name=default&project_id=" + client.project_id
                       ).json()["security_groups"][0]["id"]

    def check(expected: list[str]) -> None:
        wanted = {f"{nic['OS-EXT-IPS-MAC:mac_addr']} {nic['addr']}/32" for server in expected
                  for nics in addresses[server].values() for nic in nics}
        hosts = {client.show(server)["OS-EXT-SRV-ATTR:host"] for server in expected}  # type: ignore[index]
        wait_for(lambda: all(set(cloud.agents[host].tools.network.groups.get(group, ())) == wanted for host in hosts),
                 "the hosts know the members", timeout_s=20)

    check(servers)
    client.delete(f"/compute/v2.1/servers/{servers[0]}")
    client.wait_gone(servers[0])
    check(servers[1:])
    for server in servers[1:]:
        client.delete(f"/compute/v2.1/servers/{server}")
        client.wait_gone(server)
