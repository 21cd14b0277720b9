"""What the hosts are sent when rules or members change."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest
from sqlalchemy import orm

from conductor import reconcile
from conductor.run import HandOver, Silences
from hostler import errors, ids
from hostler.db.models import (
    FixedIp,
    Host,
    Network,
    Operation,
    Port,
    PortSecurityGroup,
    Server,
    Subnet,
)
from hostler.resources.network import host_updates, kinds, port_specs, security_groups
from tests.harness.conductor_rig import Rig

ADDRESSES = ["10.0.0.10", "10.0.0.11", "10.0.0.12"]
MEMBERS = [f"fa:16:3e:00:00:{index:02x} {address}/32" for index, address in enumerate(ADDRESSES)]


@pytest.fixture
def group_id(rig: Rig) -> str:
    """A default group with two members on host1 and one on host2, as the last thing that was said to them."""
    rig.host.apply_port_rules, rig.host.update_groups = mock.Mock(), mock.Mock()  # type: ignore[attr-defined]
    return rig.db.write(lambda session: _seed(session, rig))


def _seed(session: orm.Session, rig: Rig) -> str:
    project = rig.context.project_id
    assert project is not None
    zone = session.get_one(Host, rig.host_id).zone_id
    second = Host(name="host2", number=2, zone_id=zone, vcpus=8, ram_mib=8192, disk_gib=100)
    network = Network(id=ids.new_id(), name="net", project_id=project)
    session.add_all([second, network])
    session.flush()
    subnet = Subnet(id=ids.new_id(), name="sub", project_id=project, network_id=network.id, cidr="10.0.0.0/24",
                    ip_version=4, allocation_pools=[])
    session.add(subnet)
    group = security_groups.ensure_default(session, project)
    for index, address in enumerate(ADDRESSES):
        server = Server(id=ids.new_id(), name="one", project_id=project, user_id=rig.context.user_id,
                        vm_state="active", flavor_id=ids.new_id(), vcpus=1, ram_mib=64, root_gib=1)
        session.add(server)
        session.flush()
        port = Port(id=ids.new_id(), name="", project_id=project, network_id=network.id, server_id=server.id,
                    mac_address=f"fa:16:3e:00:00:{index:02x}", host_id=second.id if index == 2 else rig.host_id)
        session.add(port)
        session.flush()
        session.add_all([PortSecurityGroup(port_id=port.id, group_id=group.id),
                         FixedIp(port_id=port.id, subnet_id=subnet.id, ip_address=address)])
    session.flush()
    return group.id


def change(rig: Rig, group_id: str, *rules_changed: bool) -> None:
    """Write changes, then run what waits."""
    found = {operation_id for each in rules_changed for operation_id in rig.db.write(
        lambda session, each=each: security_groups.notify_hosts(session, rig.context, [group_id], rules_changed=each))}
    for operation_id in found:
        rig.expire_delay(operation_id)
        assert rig.run(operation_id) is None
        assert rig.one(Operation, operation_id).state == "succeeded"


def members(groups: Any) -> dict[str, list[str]]:
    return {group_id: group["members"] for group_id, group in groups.items()}


def test_members_alone_are_sent_once_to_each_host(rig: Rig, group_id: str) -> None:
    change(rig, group_id, False, False)
    told: Any = rig.host.update_groups  # type: ignore[attr-defined]
    assert [(call.args[1], members(call.args[2])) for call in told.mock_calls] == [("host1", {group_id: MEMBERS}),
                                                           ("host2", {group_id: MEMBERS})]
    assert not rig.host.apply_port_rules.mock_calls  # type: ignore[attr-defined]


def test_members_are_read_once_for_hosts_that_answer_at_once(rig: Rig, group_id: str,
                                                             monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[Any] = []

    def read(session: orm.Session, names: Any) -> Any:
        reads.append(names)
        return port_specs.group_members(session, names)

    monkeypatch.setattr("conductor.tasks.host.networks.group_members", read)
    change(rig, group_id, False)
    assert (len(rig.host.update_groups.mock_calls), reads) == (2, [[group_id]])  # type: ignore[attr-defined]


@pytest.mark.parametrize("changes", [(False, True), (True, False)])
def test_rules_that_change_too_are_sent_with_the_members(rig: Rig, group_id: str, changes: tuple[bool, ...]) -> None:
    change(rig, group_id, *changes)
    told: Any = rig.host.apply_port_rules  # type: ignore[attr-defined]
    assert {call.args[1]: (len(call.args[2]), members(call.args[3])) for call in told.mock_calls} == {
        "host1": (2, {group_id: MEMBERS}), "host2": (1, {group_id: MEMBERS})}
    assert not any(rule.remote_cidrs for call in told.mock_calls for port in call.args[2] for rule in port.rules)
    assert not rig.host.update_groups.mock_calls  # type: ignore[attr-defined]


def test_a_silent_host_does_not_hide_the_next_and_that_gets_the_newest(rig: Rig, group_id: str) -> None:
    def silent(_context: Any, host: str, _groups: Any) -> None:
        if host == "host1":
            rig.db.write(lambda session: session.delete(session.query(FixedIp).filter_by(
                ip_address=ADDRESSES[0]).one()))
            raise errors.Silent(part="The host")

    rig.cloud.silences = Silences(window_s=300)
    told: Any = rig.host.update_groups  # type: ignore[attr-defined]
    told.side_effect = silent
    (operation_id,) = rig.db.write(lambda session: security_groups.notify_hosts(
        session, rig.context, [group_id], rules_changed=False))
    rig.expire_delay(operation_id)
    assert isinstance(rig.run(operation_id), HandOver)
    assert members(told.mock_calls[1].args[2]) == {group_id: MEMBERS[1:]} and told.mock_calls[1].args[1] == "host2"
    waiting = rig.one(Operation, operation_id)
    assert (waiting.state, waiting.waiting_for, waiting.host) == ("pending", "host1", None)
    # A further change uses the waiting operation, and does not wait with it.
    assert rig.db.write(lambda session: security_groups.notify_hosts(
        session, rig.context, [group_id], rules_changed=False)) == [operation_id]
    assert rig.one(Operation, operation_id).not_before < waiting.not_before
    # Within the window the silent host is not asked again; after it, it gets what it missed.
    told.reset_mock(side_effect=True)
    rig.expire_delay(operation_id)
    assert isinstance(rig.run(operation_id), HandOver)
    assert [call.args[1] for call in told.mock_calls] == ["host2"]
    rig.cloud.silences = Silences(window_s=1)
    rig.expire_delay(operation_id)
    assert rig.run(operation_id) is None
    assert members(told.mock_calls[1].args[2]) == {group_id: MEMBERS[1:]} and told.mock_calls[1].args[1] == "host1"


def test_every_host_of_a_vxlan_network_is_sent_where_its_ports_are(rig: Rig, group_id: str) -> None:
    def overlay(session: orm.Session) -> str:
        network = session.query(Network).filter_by(name="net").one()
        network.network_type = "vxlan"
        for number, host in enumerate(session.query(Host).order_by(Host.number), 1):
            host.tunnel_ip = f"192.0.2.{number}"
        return network.id

    network_id = rig.db.write(overlay)
    places = [f"fa:16:3e:00:00:{index:02x} {address} 192.0.2.{2 if index == 2 else 1}"
              for index, address in enumerate(ADDRESSES)]
    told: Any = rig.host.update_groups  # type: ignore[attr-defined]
    for _ in range(2):
        told.reset_mock()
        [operation_id] = rig.db.write(lambda session: host_updates.notify_of_peers(session, rig.context, [network_id]))
        assert rig.run(operation_id) is None
        assert [(call.args[1], members(call.args[2])) for call in told.mock_calls] == [
            (host, {kinds.key(network_id): places}) for host in ("host1", "host2")]
    told_at_once = members(reconcile.plan(rig.cloud, "host2", [])["groups"])
    assert told_at_once == {group_id: MEMBERS, kinds.key(network_id): places}
    known = {name: group["revision"] for name, group in reconcile.plan(rig.cloud, "host2", [])["groups"].items()}
    assert reconcile.plan(rig.cloud, "host2", [], known)["groups"] == {}


def test_reconciliation_brings_the_members(rig: Rig, group_id: str) -> None:
    assert members(reconcile.plan(rig.cloud, "host1", [])["groups"]) == {group_id: MEMBERS}
