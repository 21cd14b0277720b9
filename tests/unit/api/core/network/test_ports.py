"""A server's ports: found, addressed, bound, described to agents, released."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from hostler import errors, ids
from hostler.db.models import FixedIp, Host, Operation, Port, PortSecurityGroup, SecurityGroup, SecurityGroupRule
from hostler.operations.kinds import network as kinds
from hostler.resources.network import ports, security_groups
from hostler.resources.network.port_specs import members_for, port_specs
from hostler.resources.network.ports import NetworkRequest
from tests.harness.network_core import DEMO, OTHER, Cloud, Statements


def bind(cloud: Cloud, server_id: str, requests: ports.Requests = "auto", groups: tuple[str, ...] = (),
         **values: Any) -> list[Port]:
    return cloud.db.write(lambda session: ports.bind_ports(
        cloud.db, session, cloud.conf, values.get("context") or cloud.context(), server_id=server_id, hostname="vm",
        requests=requests, security_groups=groups))


def test_auto_takes_the_only_network_and_gives_an_address_and_the_default_group(cloud: Cloud) -> None:
    network_id, server_id = cloud.network(), cloud.server()
    [port] = bind(cloud, server_id)
    assert (port.network_id, port.server_id, port.device_owner) == (network_id, server_id, "compute:nova")
    with cloud.db.reading() as session:
        [spec] = port_specs(session, server_ids=[server_id])[server_id]
        members = members_for(session, [spec])
    assert spec.fixed_ips[0].ip_address.startswith("10.0.0.")
    assert spec.fixed_ips[0].ip_address not in ("10.0.0.0", "10.0.0.1", "10.0.0.2", "10.0.0.255")
    assert spec.hostname == "vm" and spec.network.subnets[0].dhcp_ip == "10.0.0.2"
    [group_id] = members
    assert members[group_id]["members"] == [f"{spec.mac_address} {spec.fixed_ips[0].ip_address}/32"]
    assert sorted((rule.direction, rule.ethertype, rule.remote_group_id or "") for rule in spec.rules) == [
        ("egress", "IPv4", ""), ("egress", "IPv6", ""), ("ingress", "IPv4", group_id), ("ingress", "IPv6", group_id)]
    assert not any(rule.remote_cidrs for rule in spec.rules)


def test_auto_without_a_network_is_refused_and_with_two_is_ambiguous(cloud: Cloud) -> None:
    with pytest.raises(errors.Invalid, match="automatically"):
        bind(cloud, cloud.server())
    cloud.network("10.1.0.0/24", OTHER)  # another project's is no candidate
    with pytest.raises(errors.Invalid):
        bind(cloud, cloud.server())
    cloud.network("10.2.0.0/24")
    cloud.network("10.3.0.0/24", OTHER, shared=True)
    with pytest.raises(errors.Conflict, match="Multiple possible networks"):
        bind(cloud, cloud.server())
    default = cloud.network("10.4.0.0/24", OTHER, shared=True, is_default=True)
    assert bind(cloud, cloud.server())[0].network_id == default


def test_none_gives_no_port(cloud: Cloud) -> None:
    cloud.network()
    assert bind(cloud, cloud.server(), "none") == []


def test_named_address_is_given_once(cloud: Cloud) -> None:
    network_id = cloud.network()
    wanted = [NetworkRequest(network_id=network_id, fixed_ip="10.0.0.77")]
    bind(cloud, cloud.server(), wanted)
    with pytest.raises(errors.NotUnique, match="10.0.0.77"):
        bind(cloud, cloud.server(), wanted)
    for text in ("10.0.0.0", "10.0.0.255", "10.0.0.2", "10.9.9.9", "x"):
        with pytest.raises(errors.Invalid):
            bind(cloud, cloud.server(), [NetworkRequest(network_id=network_id, fixed_ip=text)])


def test_a_users_port_is_taken_once_and_given_back(cloud: Cloud) -> None:
    cloud.network()
    [made] = bind(cloud, cloud.server())

    def give_away(session: Any) -> None:
        port = session.get(Port, made.id)
        port.server_id, port.device_id, port.owned_by_server = None, "", False

    cloud.db.write(give_away)
    server_id = cloud.server()
    wanted = [NetworkRequest(port_id=made.id)]
    assert bind(cloud, server_id, wanted)[0].id == made.id
    with pytest.raises(errors.Conflict, match="still in use"):
        bind(cloud, cloud.server(), wanted)
    with pytest.raises(errors.Invalid, match="could not be found"):
        bind(cloud, cloud.server(OTHER), wanted, context=cloud.context(OTHER))
    cloud.db.write(lambda session: ports.release_ports(session, server_id))
    with cloud.db.reading() as session:
        port = session.get_one(Port, made.id)
    assert (port.server_id, port.device_id, port.status) == (None, "", "DOWN")


def test_release_deletes_what_was_made_for_the_server(cloud: Cloud) -> None:
    cloud.network()
    server_id = cloud.server()
    bind(cloud, server_id)
    for _ in range(2):
        cloud.db.write(lambda session: ports.release_ports(session, server_id))
    assert [cloud.count(model) for model in (Port, FixedIp, PortSecurityGroup)] == [0, 0, 0]


def test_groups_by_name_and_id(cloud: Cloud) -> None:
    cloud.network()
    mine, foreign = SecurityGroup(id=ids.new_id(), name="web", project_id=DEMO), SecurityGroup(
        id=ids.new_id(), name="foreign", project_id=OTHER)
    cloud.db.write(lambda session: session.add_all([mine, foreign]))
    bind(cloud, cloud.server(), groups=("web", mine.id, "default"))
    assert cloud.count(PortSecurityGroup) == 2
    for name in ("foreign", foreign.id, "absent"):
        with pytest.raises(errors.Invalid, match="not found"):
            bind(cloud, cloud.server(), groups=(name,))


def test_the_port_quota_is_kept_with_its_numbers(cloud: Cloud) -> None:
    cloud.network()
    cloud.conf.set_override("ports", 1, "quota")
    bind(cloud, cloud.server())
    with pytest.raises(errors.QuotaExceeded, match="already used 1 of 1"):
        bind(cloud, cloud.server())


def test_many_servers_cost_the_statements_of_one(cloud: Cloud, statements: Statements) -> None:
    cloud.network("10.0.0.0/16")
    counts = []
    for amount in (2, 60):
        servers = [ports.NewServer(cloud.server(), "vm") for _ in range(amount)]
        before = len(statements)
        cloud.db.write(lambda session, servers=servers: ports.bind_ports_many(
            cloud.db, session, cloud.conf, cloud.context(), servers=servers, requests="auto", security_groups=()))
        counts.append(len(statements) - before)
    assert counts[1] <= counts[0] + 2 and counts[1] < 25, counts
    with cloud.db.reading() as session:
        before = len(statements)
        assert len(port_specs(session, server_ids=[server.id for server in servers])) == 60
        assert len(statements) - before <= 8


def test_a_full_small_subnet_says_so_and_a_huge_one_is_quick(cloud: Cloud) -> None:
    network_id = cloud.network("192.168.7.0/28")
    wanted = [NetworkRequest(network_id=network_id)]
    given = {bind(cloud, cloud.server(), wanted)[0].id for _ in range(12)}  # 16 less edges, gateway and DHCP
    assert len(given) == 12
    with pytest.raises(errors.NoAddress):
        bind(cloud, cloud.server(), wanted)
    cloud.subnet(network_id, "192.168.8.0/28")
    bind(cloud, cloud.server(), wanted)  # the second subnet has room
    huge = cloud.network("10.0.0.0/8")
    started = time.monotonic()
    bind(cloud, cloud.server(), [NetworkRequest(network_id=huge)])
    assert time.monotonic() - started < 1


def test_concurrent_allocators_share_a_subnet_without_loss(cloud: Cloud) -> None:
    network_id = cloud.network("192.168.7.0/27")  # 28 addresses
    servers = [cloud.server() for _ in range(28)]
    failures: list[BaseException] = []

    def work(mine: list[str]) -> None:
        try:
            for server_id in mine:
                bind(cloud, server_id, [NetworkRequest(network_id=network_id)])
        except errors.HostlerError as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(servers[index::4],)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures and cloud.count(FixedIp) == 28


def test_hosts_are_told_once_while_the_operation_waits(cloud: Cloud) -> None:
    cloud.network()
    with cloud.db.reading() as session:
        other = Host(id=ids.new_id(), name="other", number=2, zone_id=session.get_one(Host, cloud.host_id).zone_id)
    cloud.db.write(lambda session: session.add(other))
    told = []
    for host_id in (cloud.host_id, other.id, other.id):
        server_id = cloud.server()
        bind(cloud, server_id)
        told.append(cloud.db.write(lambda session, server_id=server_id, host_id=host_id: ports.set_ports_host(
            session, server_id, host_id, "ACTIVE", cloud.context())))
    assert told[0] == [] and len(told[1]) == 1 and told[2] == told[1]  # nobody else; told; the same still waits
    assert cloud.count(Operation, Operation.kind == kinds.APPLY_RULES.name) == 1
    with cloud.db.reading() as session:
        group_id = session.get_one(Operation, told[1][0]).arguments["security_group_id"]
        assert len(security_groups.affected_port_ids(session, [group_id])) == 3


def test_a_host_that_got_the_members_with_the_server_is_not_told_again(cloud: Cloud) -> None:
    cloud.network()
    web = SecurityGroup(id=ids.new_id(), name="web", project_id=DEMO)
    cloud.db.write(lambda session: session.add(web))

    def arrive(*groups: str) -> list[str]:
        server_id = cloud.server()
        bind(cloud, server_id, groups=groups)
        return cloud.db.write(lambda session: ports.set_ports_host(
            session, server_id, cloud.host_id, "ACTIVE", cloud.context()))

    assert arrive("default") == arrive("default") == [], "the boot's message had the members of the server's groups"
    with cloud.db.reading() as session:
        default = security_groups.resolve(session, DEMO, ["default"])[0]
    cloud.db.write(lambda session: session.add(SecurityGroupRule(
        group_id=default, project_id=DEMO, direction="ingress", remote_group_id=web.id)))
    assert len(arrive("web")) == 1, "the server's own rules do not admit web, so its message did not have that"


def test_changed_rules_widen_what_waits_for_members_only(cloud: Cloud) -> None:
    cloud.network()

    def tell(rules_changed: bool) -> Operation:
        [operation_id] = cloud.db.write(lambda session: security_groups.notify_hosts(
            session, cloud.context(), [group_id], rules_changed=rules_changed))
        with cloud.db.reading() as session:
            return session.get_one(Operation, operation_id)

    server_id = cloud.server()
    bind(cloud, server_id)
    cloud.db.write(lambda session: ports.set_ports_host(session, server_id, cloud.host_id, "ACTIVE"))
    with cloud.db.reading() as session:
        [group_id] = members_for(session, port_specs(session, server_ids=[server_id])[server_id])
        assert security_groups.groups_admitted_on(session, cloud.host_id) == [group_id]
        assert security_groups.hosts_admitting(session, group_id) == [session.get_one(Host, cloud.host_id).name]
    waiting = tell(rules_changed=False)
    assert waiting.arguments == {"security_group_id": group_id, "members_only": True}
    full = tell(rules_changed=True)
    assert full.id == waiting.id and full.not_before < waiting.not_before
    assert full.arguments == {"security_group_id": group_id}
    assert tell(rules_changed=False).arguments == full.arguments, "members are part of a full one"
