"""Each host with guests of a router has its own address outside, and gives it back when they are gone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from hostler import ids
from hostler.db.models import FixedIp, FloatingIp, Host, Network, Port, PortForwarding, Router, RouterPort, Subnet
from hostler.resources.network import ipam, place_ports, ports
from hostler.resources.network.host_updates import notify_of_network
from hostler.resources.network.port_specs import port_specs
from tests.harness.network_core import DEMO, OTHER, Cloud, make_cloud


@pytest.fixture
def cloud(tmp_path: Path) -> Any:
    made = make_cloud(f"sqlite:///{tmp_path / 'test.db'}", tmp_path)
    yield made
    made.db.dispose()


@pytest.fixture
def inside(cloud: Cloud) -> str:
    return cloud.network("10.0.0.0/24")


@pytest.fixture
def outside(cloud: Cloud) -> str:
    return cloud.network("203.0.113.0/29", OTHER, external=True)


@pytest.fixture
def router(cloud: Cloud, inside: str, outside: str) -> str:
    """A router that joins both networks."""
    def work(session: Any) -> str:
        row = Router(id=ids.new_id(), name="r", project_id=DEMO)
        session.add(row)
        session.flush()
        for network_id, role, address in ((inside, "interface", "10.0.0.1"), (outside, "gateway", None)):
            subnet = session.scalars(sa.select(Subnet).where(Subnet.network_id == network_id)).one()
            [port] = place_ports.place(session, cloud.conf, [place_ports.Draft(
                session.get_one(Network, network_id), DEMO, (ipam.AddressRequest((subnet,), address),))])
            session.add(RouterPort(port_id=port.id, router_id=row.id, role=role))
        return row.id
    return cloud.db.write(work)


def host(cloud: Cloud, number: int) -> str:
    def work(session: Any) -> str:
        zone_id = session.get_one(Host, cloud.host_id).zone_id
        session.add(row := Host(id=ids.new_id(), name=f"host{number}", number=number, zone_id=zone_id))
        session.flush()
        return row.id
    return cloud.db.write(work)


def guest(cloud: Cloud, network_id: str, host_id: str) -> str:
    server_id = cloud.server()
    cloud.db.write(lambda session: ports.bind_ports(
        cloud.db, session, cloud.conf, cloud.context(), server_id=server_id, hostname="vm",
        requests=[ports.NetworkRequest(network_id=network_id)], security_groups=[]) and None)
    cloud.db.write(lambda session: ports.set_ports_host(session, server_id, host_id, "ACTIVE"))
    return server_id


def told(cloud: Cloud, server_id: str) -> Any:
    with cloud.db.reading() as session:
        [port] = port_specs(session, server_ids=[server_id])[server_id]
    [router] = port.network.routers
    return router


def test_the_first_host_has_the_gateways_address_and_others_their_own(
        cloud: Cloud, router: str, inside: str, outside: str) -> None:
    first = guest(cloud, inside, cloud.host_id)
    with cloud.db.reading() as session:
        gateway = session.scalars(sa.select(FixedIp.ip_address).join(Port, Port.id == FixedIp.port_id).where(
            Port.network_id == outside)).one()
    assert {name: one["address"] for name, one in told(cloud, first).outside.items()} == {"host1": f"{gateway}/29"}
    second = guest(cloud, inside, host(cloud, 2))
    found = told(cloud, second).outside
    assert set(found) == {"host1", "host2"} and len({one["address"] for one in found.values()}) == 2
    assert len({one["mac"] for one in found.values()}) == 2
    guest(cloud, inside, cloud.host_id)
    assert cloud.count(RouterPort, RouterPort.router_id == router) == 3


def test_an_address_is_given_back_when_another_host_needs_one(cloud: Cloud, router: str, inside: str) -> None:
    one, two, three = cloud.host_id, host(cloud, 2), host(cloud, 3)
    guest(cloud, inside, one)
    leaving = guest(cloud, inside, two)
    cloud.db.write(lambda session: ports.release_ports(session, leaving))
    last = guest(cloud, inside, three)
    assert set(told(cloud, last).outside) == {"host1", "host3"}


def test_a_guest_boots_where_no_address_is_left(cloud: Cloud, router: str, inside: str, outside: str) -> None:
    def fill(session: Any) -> None:
        subnet = session.scalars(sa.select(Subnet).where(Subnet.network_id == outside)).one()
        network = session.get_one(Network, outside)
        place_ports.place(session, cloud.conf, [place_ports.Draft(network, OTHER, (ipam.AddressRequest((subnet,)),))
                                                for _ in range(3)])
    cloud.db.write(fill)
    guest(cloud, inside, cloud.host_id)
    late = guest(cloud, inside, host(cloud, 2))
    assert set(told(cloud, late).outside) == {"host1"}
    assert cloud.count(Port, Port.device_owner == "network:floatingip_agent_gateway") == 0


def test_a_change_of_the_external_network_reaches_the_networks_behind(cloud: Cloud, router: str, inside: str,
                                                                      outside: str) -> None:
    server_id = guest(cloud, inside, cloud.host_id)
    before = told(cloud, server_id).revision
    assert len(cloud.db.write(lambda session: notify_of_network(session, cloud.context(), outside))) == 1
    assert told(cloud, server_id).revision > before


def test_a_forwarded_address_follows_its_oldest_guest(cloud: Cloud, router: str, inside: str, outside: str) -> None:
    two = host(cloud, 2)
    first, second = guest(cloud, inside, cloud.host_id), guest(cloud, inside, two)

    def work(session: Any) -> None:
        subnet = session.scalars(sa.select(Subnet).where(Subnet.network_id == outside)).one()
        [public] = place_ports.place(session, cloud.conf, [place_ports.Draft(
            session.get_one(Network, outside), DEMO, (ipam.AddressRequest((subnet,)),))])
        session.add(row := FloatingIp(id=ids.new_id(), project_id=DEMO, network_id=outside, address="203.0.113.6",
                                      public_port_id=public.id, router_id=router))
        session.flush()
        for number, server_id in enumerate((first, second), 1):
            port = session.scalars(sa.select(Port).where(Port.server_id == server_id)).one()
            session.add(PortForwarding(
                floating_ip_id=row.id, port_id=port.id, fixed_ip_address="10.0.0.9", protocol="tcp",
                external_first=number, external_last=number, internal_first=22, internal_last=22))
            session.flush()

    def places(server_id: str) -> list[tuple[str, str]]:
        return [(one.entry, one.host) for one in told(cloud, server_id).forwardings]

    cloud.db.write(work)
    assert places(second) == [("host1", "host1"), ("host1", "host2")]
    before = told(cloud, second).revision
    moved = cloud.db.write(lambda session: ports.set_ports_host(session, first, two, "ACTIVE", cloud.context()))
    assert moved and places(second) == [("host2", "host2")] * 2 and told(cloud, second).revision > before
    cloud.db.write(lambda session: ports.release_ports(session, first, cloud.context()))
    assert places(second) == [("host2", "host2")]
    cloud.db.write(lambda session: ports.release_ports(session, second, cloud.context()))
    with cloud.db.reading() as session:
        assert session.scalars(sa.select(FloatingIp.status)).all() == ["DOWN"]
