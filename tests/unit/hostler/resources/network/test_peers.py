"""Where the ports of VXLAN networks are: what is counted, whom it concerns, what hosts are sent."""

from __future__ import annotations

import json
from typing import Any

import pytest
import sqlalchemy as sa

from hostler import ids
from hostler.db.models import Host, Network, Operation, Port, Router, RouterPort, Server, Subnet
from hostler.operations.kinds import network as operation_kinds
from hostler.resources.network import ipam, kinds, peers, place_ports, port_specs, ports
from hostler.resources.network.ports import NetworkRequest
from tests.harness.network_core import DEMO, Cloud


class Scene:
    """A VXLAN network, and two hosts with tunnels."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.network_id = cloud.network(network_type="vxlan", segmentation_id=7, segment="vxlan//7")
        self.key = kinds.key(self.network_id)

        def work(session: Any) -> str:
            first = session.get_one(Host, cloud.host_id)
            first.tunnel_ip = "192.0.2.1"
            second = Host(id=ids.new_id(), name="host2", number=2, zone_id=first.zone_id, tunnel_ip="192.0.2.2")
            session.add(second)
            session.flush()
            return second.id

        self.hosts = (cloud.host_id, cloud.db.write(work))

    def boot(self, host_id: str) -> tuple[str, list[str]]:
        """Return a new server's id, and the operations that tell the others."""
        server_id, context = self.cloud.server(), self.cloud.context()

        def place(session: Any) -> list[str]:
            ports.bind_ports(self.cloud.db, session, self.cloud.conf, context, server_id=server_id, hostname="vm",
                             requests=[NetworkRequest(network_id=self.network_id)], security_groups=())
            ports.set_ports_host(session, server_id, host_id, "BUILD")
            return ports.set_ports_host(session, server_id, host_id, "ACTIVE", context)

        return server_id, self.cloud.db.write(place)

    def told(self, operation_ids: list[str]) -> list[str]:
        """Return the networks that these operations are about."""
        with self.cloud.db.reading() as session:
            return list(session.scalars(sa.select(Operation.resource_id).where(
                Operation.id.in_(operation_ids), Operation.kind == operation_kinds.UPDATE_PEERS.name)))

    def sent(self) -> dict[str, Any]:
        """Return what a message has of the network."""
        with self.cloud.db.reading() as session:
            return port_specs.group_members(session, [self.key])[self.key]

    def places(self) -> set[str]:
        """Return the tunnel addresses in it."""
        return {member.split()[2] for member in self.sent()["members"]}


@pytest.fixture
def scene(cloud: Cloud) -> Scene:
    return Scene(cloud)


def test_hosts_with_other_ports_are_told_and_no_others(scene: Scene) -> None:
    first, second = scene.hosts
    assert scene.told(scene.boot(first)[1]) == [], "nobody else has a port"
    assert scene.told(scene.boot(first)[1]) == [], "the boot's message had it"
    assert scene.told(scene.boot(second)[1]) == [scene.network_id]
    with scene.cloud.db.reading() as session:
        assert peers.hosts_on(session, scene.network_id) == ["host1", "host2"]
        assert peers.networks_on(session, second) == [scene.key]


def test_hosts_of_networks_behind_a_router_are_told_too(scene: Scene) -> None:
    first, second = scene.hosts
    beside = scene.cloud.network("10.9.0.0/24")

    def join(session: Any) -> None:
        session.add(row := Router(id=ids.new_id(), name="r", project_id=DEMO))
        session.flush()
        for network_id in (scene.network_id, beside):
            subnet = session.scalars(sa.select(Subnet).where(Subnet.network_id == network_id)).one()
            [port] = place_ports.place(session, scene.cloud.conf, [place_ports.Draft(
                session.get_one(Network, network_id), DEMO, (ipam.AddressRequest((subnet,)),))])
            session.add(RouterPort(port_id=port.id, router_id=row.id, role="interface"))

    scene.cloud.db.write(join)
    server_id = scene.cloud.server()
    scene.cloud.db.write(lambda session: ports.bind_ports(
        scene.cloud.db, session, scene.cloud.conf, scene.cloud.context(), server_id=server_id, hostname="vm",
        requests=[NetworkRequest(network_id=beside)], security_groups=()) and None)
    scene.cloud.db.write(lambda session: ports.set_ports_host(session, server_id, second, "ACTIVE"))
    assert scene.told(scene.boot(first)[1]) == [scene.network_id]
    with scene.cloud.db.reading() as session:
        assert peers.hosts_on(session, scene.network_id) == ["host1", "host2"]
        assert peers.networks_on(session, second) == [scene.key]
        specs = port_specs.port_specs(session, server_ids=[server_id])[server_id]
        assert scene.key in port_specs.members_for(session, specs)


def test_a_message_says_where_each_address_is(scene: Scene) -> None:
    scene.boot(scene.hosts[0])
    scene.boot(scene.hosts[1])
    with scene.cloud.db.reading() as session:
        macs = dict(session.execute(sa.select(Port.host_id, Port.mac_address)).tuples().all())
        here = session.scalars(sa.select(Port.id).where(Port.host_id == scene.hosts[0])).all()
        [spec] = port_specs.port_specs(session, port_ids=here).values()
        assert scene.key in port_specs.members_for(session, spec), "the boot's message has it"
    lines = {tuple(member.split()) for member in scene.sent()["members"]}
    assert {(mac, place) for mac, _, place in lines} == {(macs[scene.hosts[0]], "192.0.2.1"),
                                                         (macs[scene.hosts[1]], "192.0.2.2")}
    assert all(address.startswith("10.0.0.") for _, address, _ in lines)


def test_a_move_is_told_to_all_and_a_deletion_to_those_that_are_left(scene: Scene) -> None:
    first, second = scene.hosts
    server_id, _ = scene.boot(first)
    revision = scene.sent()["revision"]
    context = scene.cloud.context()
    moved = scene.cloud.db.write(lambda session: ports.set_ports_host(
        session, server_id, second, "ACTIVE", context, arrived=False))
    assert scene.told(moved) == [scene.network_id], "its new host still knows it at the old one"
    assert scene.places() == {"192.0.2.2"} and scene.sent()["revision"] > revision
    assert scene.told(scene.cloud.db.write(lambda session: ports.release_ports(session, server_id, context))) == []
    scene.boot(first)
    other, _ = scene.boot(second)
    gone = scene.cloud.db.write(lambda session: ports.release_ports(session, other, context))
    assert scene.told(gone) == [scene.network_id] and scene.places() == {"192.0.2.1"}


def test_large_networks_are_sent_by_their_changes(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(port_specs, "SMALL", 1)
    monkeypatch.setattr(port_specs, "RECENT", 1)
    scene.boot(scene.hosts[0])
    scene.boot(scene.hosts[0])
    server_id, _ = scene.boot(scene.hosts[1])
    with scene.cloud.db.reading() as session:
        [port_id] = session.scalars(sa.select(Port.id).where(Port.server_id == server_id)).all()
        everything = port_specs.missed_members(session, {scene.key: None})[scene.key]
    assert list(scene.sent()["ports"]) == [port_id] and len(everything["ports"]) == 3
    scene.cloud.db.write(lambda session: ports.release_ports(session, server_id))
    assert scene.sent()["ports"] == {port_id: []}, "it left"


def test_changes_of_a_network_are_kept_while_hosts_may_miss_them(scene: Scene) -> None:
    scene.boot(scene.hosts[0])
    with scene.cloud.db.reading() as session:
        before = session.scalar(sa.select(sa.func.count()).select_from(port_specs.SecurityGroupChange).where(
            port_specs.SecurityGroupChange.group_id == scene.network_id))
    assert before
    scene.cloud.db.write(port_specs.prune_changes)
    assert scene.cloud.count(port_specs.SecurityGroupChange,
                             port_specs.SecurityGroupChange.group_id == scene.network_id) == before
    scene.cloud.db.write(lambda session: session.execute(sa.update(Network).values(peers_revision=5000)))
    scene.cloud.db.write(port_specs.prune_changes)
    assert not scene.cloud.count(port_specs.SecurityGroupChange,
                                 port_specs.SecurityGroupChange.group_id == scene.network_id)


def test_pairs_macs_are_known_and_a_host_without_a_tunnel_is_not_sent_to(scene: Scene) -> None:
    server_id, _ = scene.boot(scene.hosts[0])
    scene.cloud.db.write(lambda session: session.execute(sa.update(Port).where(Port.server_id == server_id).values(
        allowed_address_pairs=[{"ip_address": "10.0.0.200", "mac_address": "02:00:00:00:00:99"}])))
    assert "02:00:00:00:00:99 - 192.0.2.1" in scene.sent()["members"]
    scene.cloud.db.write(lambda session: session.execute(sa.update(Host).values(tunnel_ip="")))
    assert scene.sent()["members"] == []


def test_an_elected_host_that_serves_is_told_names_and_options(scene: Scene) -> None:
    server_id, _ = scene.boot(scene.hosts[0])

    def change(**values: Any) -> list[str]:
        def work(session: Any) -> list[str]:
            session.execute(sa.update(Port).where(Port.server_id == server_id).values(**values))
            return peers.names_changed(session, server_id)
        return scene.cloud.db.write(work)

    assert change(dns_name="web") == [] and all(member.count(" ") == 2 for member in scene.sent()["members"])
    scene.cloud.db.write(lambda session: session.execute(sa.update(Network).values(dhcp_provider="VirtualRouter")))
    revision = scene.sent()["revision"]
    options = [{"opt_name": "mtu", "opt_value": "1300", "ip_version": 4}]
    assert change(extra_dhcp_opts=options) == [scene.network_id] and scene.sent()["revision"] > revision
    [member] = scene.sent()["members"]
    served = json.loads(member.split(" ", 3)[3])
    assert (served["name"], served["options"]) == ("web", options)
    with scene.cloud.db.reading() as session:
        assert session.scalars(sa.select(Port.id)).all() == [served["id"]]
    change(dns_name="")
    [member] = scene.sent()["members"]
    assert json.loads(member.split(" ", 3)[3])["name"] == scene.cloud.db.write(
        lambda session: session.get_one(Server, server_id).hostname)
