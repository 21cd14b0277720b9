"""An evacuation killed, failing or made to wait at each of its calls: one host has the server, its claim and volume."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import sqlalchemy as sa
from sqlalchemy import orm

from conductor.engine.runner import Runner
from conductor.engine.slots import Slots
from conductor.run import CloudAccess, HandOver
from hostler import errors, ids
from hostler.db.models import Allocation, Host, Migration, Operation, Server, VolumeAttachment
from hostler.db.moments import now
from hostler.operations import states as operation_states
from hostler.operations.kinds import server as kinds
from hostler.resources.server import allocations, evacuations
from hostler.resources.volume import states as volume_states
from scheduler.rpcapi import Choice, Request
from tests.harness import zombies
from tests.harness.volume_rig import Killed, ScriptedNodes, VolumeRig

CALLS = ["shut_out_host", "connect_volume", "spawn_server"]
BREAKS = [(number, when) for number in range(len(CALLS)) for when in ("before", "after")]


class Parts(ScriptedNodes):
    """Storage nodes, and hosts with their guests: {(host, server id)}; `let_in` maps an attachment to its host."""

    def __init__(self, db: Any) -> None:
        super().__init__(db)
        self.guests: set[tuple[str, str]] = set()
        self.let_in: dict[str, str] = {}
        self.spawns_as = "running"

    def connect_volume(self, _context: Any, node: str, volume: Any, attachment_id: str, connector: Any,
                       readonly: bool, *, beside: str | None = None) -> Any:
        answer = super().connect_volume(_context, node, volume, attachment_id, connector, readonly, beside=beside)
        self.let_in[attachment_id] = connector.host
        return answer

    def shut_out_host(self, _context: Any, node: str, _volume: Any, attachment_id: str, _connector: Any) -> None:
        with self._call("shut_out_host", node):
            self.let_in.pop(attachment_id, None)

    def spawn_server(self, _context: Any, host: str, server: Any, _groups: Any) -> dict[str, Any]:
        with self._call("spawn_server", host):
            assert all(self.let_in[volume.attachment_id] == host for volume in server.volumes)
            self.guests.add((host, server.id))
        return {"power_state": self.spawns_as}

    def prepare_server(self, _context: Any, host: str, _server: Any, _groups: Any) -> dict[str, Any]:
        with self._call("prepare_server", host):
            return {"power_state": "shutdown"}

    def destroy_server(self, _context: Any, host: str, server_id: str, _ports: Any) -> None:
        with self._call("destroy_server", host):
            self.guests.discard((host, server_id))


class EvacuationRig(VolumeRig):
    """Two hosts, the first of which is down, with a server and its volume."""

    nodes: Parts

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.nodes = Parts(self.db)
        self.other_id = self.add(Host(id=ids.new_id(), name="host2", number=2, vcpus=8, ram_mib=8192, disk_gib=100,
                                      zone_id=self.one(Host, self.host_id).zone_id, last_seen_at=None))
        self.set_host(forced_down=True, vcpus=8, ram_mib=8192, disk_gib=100)
        scheduler = mock.Mock()
        scheduler.select_host = self._select
        self.cloud = CloudAccess(self.conf, self.db, scheduler, self.nodes, mock.Mock(), self.nodes)  # type: ignore[arg-type]
        self.runner = Runner(self.cloud, Slots(limit=20), lambda: self.stopping)
        self.requests: list[Request] = []

    def set_host(self, **values: Any) -> None:
        """Change the row of the first host."""
        self.db.write(lambda session: session.execute(sa.update(Host).where(Host.id == self.host_id).values(**values)))

    def _select(self, _context: Any, request: Request) -> Choice:
        self.requests.append(request)
        if {"host2", self.other_id} & set(request.excluded_hosts):
            raise errors.NoValidHost(reason="There are not enough hosts available.", removed={}, retry=False)

        def work(session: orm.Session) -> None:
            if session.get(Allocation, (request.consumer_id, self.other_id)) is None:
                self.claim(session, request.consumer_id, self.other_id)

        self.db.write(work)
        return Choice(host_id=self.other_id, host="host2", zone="nova")

    @staticmethod
    def claim(session: orm.Session, consumer_id: str, host_id: str) -> None:
        """Claim a server's size of a host."""
        assert allocations.claim(session, consumer_id=consumer_id, host_id=host_id, expected_generation=None, vcpus=1,
                                 ram_mib=64, disk_gib=5)

    def begin(self, vm_state: str = "active", *, volume: bool = True, **arguments: Any) -> str:
        """Write a server on the first host, and accept its evacuation; returns the operation."""
        server_id = self.add(Server(
            id=ids.new_id(), name="s", project_id=self.context.project_id, user_id=self.context.user_id,
            flavor_id=ids.new_id(), vcpus=1, ram_mib=64, root_gib=5, host_id=self.host_id, vm_state=vm_state))
        self.db.write(lambda session: self.claim(session, server_id, self.host_id))
        self.nodes.guests.add(("host1", server_id))
        if volume:
            volume_id, attachment_id = self.volume(), ids.new_id()
            self.add(VolumeAttachment(id=attachment_id, volume_id=volume_id, server_id=server_id, device="vdb",
                                      state=volume_states.ATTACHED, connector={"host": "host1", "ip": "10.0.0.1"},
                                      connection={"protocol": "nbd", "format": "raw", "data": {}}))
            self.nodes.let_in[attachment_id] = "host1"
            self.nodes.connections.setdefault(("node1", "b1"), {})[attachment_id] = volume_id
        return self.db.write(lambda session: evacuations.accept(
            session, self.context, session.get_one(Server, server_id), kinds.Evacuate(**arguments)).id)

    def check_at(self, operation_id: str, host: str) -> Server:
        """Check that the server, its claim and its volume are at `host`, and nowhere else; returns the server."""
        server_id = self.one(Operation, operation_id).resource_id
        server: Server = self.one(Server, server_id)
        host_id = {"host1": self.host_id, "host2": self.other_id}[host]
        assert server.host_id == host_id
        with self.db.reading() as session:
            claims = session.execute(sa.select(Allocation.consumer_id, Allocation.host_id)).all()
        assert [tuple(claim) for claim in claims] == [(server_id, host_id)]
        assert set(self.nodes.let_in.values()) <= {host}
        assert (host == "host2") == (("host2", server_id) in self.nodes.guests)
        return server

    def migration(self) -> str:
        """Return the status of the only migration."""
        with self.db.reading() as session:
            return session.scalars(sa.select(Migration.status)).one()


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[EvacuationRig]:
    made = EvacuationRig(tmp_path)
    yield made
    made.close()


def test_the_calls_and_the_end(rig: EvacuationRig) -> None:
    operation_id = rig.begin()
    assert rig.finish(operation_id) == operation_states.SUCCEEDED
    assert rig.nodes.calls == CALLS
    server = rig.check_at(operation_id, "host2")
    assert (server.vm_state, server.last_host_id, server.fault) == ("active", rig.host_id, None)
    assert rig.migration() == "done"
    assert rig.one(Host, rig.host_id).fence_generation == 1
    assert rig.requests[0].host is None and rig.host_id in rig.requests[0].excluded_hosts


@pytest.mark.parametrize(("vm_state", "stays_off", "ends"), [
    ("active", False, "active"), ("stopped", False, "stopped"), ("error", False, "active"),
    ("active", True, "stopped")])
def test_the_state_afterwards(rig: EvacuationRig, vm_state: str, stays_off: bool, ends: str) -> None:
    operation_id = rig.begin(vm_state, volume=False, stays_off=stays_off)
    assert rig.finish(operation_id) == operation_states.SUCCEEDED
    assert rig.one(Server, rig.one(Operation, operation_id).resource_id).vm_state == ends
    assert rig.nodes.calls == ["spawn_server" if ends == "active" else "prepare_server"]


def test_a_guest_that_paused_by_itself_in_between_is_not_taken_for_stopped(rig: EvacuationRig) -> None:
    rig.nodes.spawns_as = "paused"
    operation_id = rig.begin()
    assert rig.finish(operation_id) == operation_states.SUCCEEDED
    server = rig.check_at(operation_id, "host2")
    assert (server.vm_state, server.power_state) == ("active", "paused"), "its next report makes it paused"


@pytest.mark.parametrize(("number", "when"), BREAKS)
def test_a_conductor_killed_at_any_call_is_followed_by_one_that_finishes(rig: EvacuationRig, number: int,
                                                                         when: str) -> None:
    operation_id = rig.begin()
    rig.nodes.faults[number] = (when, Killed())
    assert rig.finish(operation_id) == operation_states.SUCCEEDED
    rig.check_at(operation_id, "host2")


@pytest.mark.parametrize(("number", "when"), BREAKS)
def test_a_call_that_fails_leaves_the_server_where_it_was(rig: EvacuationRig, number: int, when: str) -> None:
    operation_id = rig.begin()
    rig.nodes.faults[number] = (when, errors.AgentError(reason="It broke."))
    assert rig.finish(operation_id) == operation_states.FAILED
    server = rig.check_at(operation_id, "host1")
    assert server.vm_state == "error" and "It broke." in str(server.fault)
    assert set(rig.nodes.let_in.values()) == {"host1"}, "it may be started there"
    assert rig.migration() == "error"


@pytest.mark.parametrize(("number", "when"), [(3, "before"), (3, "after"), (4, "before"), (5, "after")])
def test_a_conductor_killed_in_the_revert(rig: EvacuationRig, number: int, when: str) -> None:
    operation_id = rig.begin()
    rig.nodes.faults[2] = ("after", errors.AgentError(reason="It broke."))
    rig.nodes.faults[number] = (when, Killed())
    assert rig.finish(operation_id) == operation_states.FAILED
    rig.check_at(operation_id, "host1")


def test_a_new_host_that_falls_silent_is_never_given_up(rig: EvacuationRig) -> None:
    operation_id = rig.begin()
    rig.nodes.faults[2] = ("after", errors.AgentError(reason="It broke."))
    rig.nodes.faults[3] = ("before", errors.Silent(part="host2"))
    assert isinstance(rig.run(operation_id), HandOver)
    rig.nodes.faults[4] = ("before", errors.Silent(part="host2"))
    rig.let_pass(operation_id, patience=True)
    assert isinstance(rig.run(operation_id), HandOver), "it may run the server"
    rig.let_pass(operation_id)
    assert rig.finish(operation_id) == operation_states.FAILED
    rig.check_at(operation_id, "host1")


def test_a_host_that_reports_again_is_not_evacuated(rig: EvacuationRig) -> None:
    operation_id = rig.begin()
    rig.set_host(forced_down=False, last_seen_at=now())
    assert rig.finish(operation_id) == operation_states.FAILED
    server = rig.check_at(operation_id, "host1")
    assert server.vm_state == "active", "nothing was touched"
    assert "Compute service of host1 is still in use." in str(rig.one(Operation, operation_id).message)
    assert rig.one(Host, rig.host_id).fence_generation == 0


def test_it_waits_until_the_host_has_fenced_itself(rig: EvacuationRig) -> None:
    operation_id = rig.begin()
    rig.set_host(forced_down=False, self_fence_s=60, last_seen_at=now(-30))
    assert isinstance(rig.run(operation_id), HandOver)
    assert rig.nodes.calls == []
    rig.set_host(last_seen_at=now(-71))
    rig.let_pass(operation_id)
    assert rig.finish(operation_id) == operation_states.SUCCEEDED


def test_a_server_with_local_disks_alone_needs_no_fence(rig: EvacuationRig) -> None:
    operation_id = rig.begin(volume=False)
    rig.set_host(forced_down=False, last_seen_at=now(-30))
    assert rig.finish(operation_id) == operation_states.SUCCEEDED


@pytest.mark.parametrize(("command", "goes"), [("test {host} = host1", True), ("false", False), ("/no/such", False)])
def test_the_fence_command(rig: EvacuationRig, command: str, goes: bool) -> None:
    operation_id = rig.begin()
    rig.set_host(forced_down=False, last_seen_at=now(-30))
    rig.conf.set_override("fence_command", command, "compute")
    if goes:
        assert rig.finish(operation_id) == operation_states.SUCCEEDED
        return
    assert isinstance(rig.run(operation_id), HandOver)
    rig.let_pass(operation_id, patience=True)
    assert rig.finish(operation_id) == operation_states.FAILED
    assert "may still run its guests" in str(rig.one(Operation, operation_id).message)
    assert rig.check_at(operation_id, "host1").vm_state == "active"


@pytest.mark.long
@pytest.mark.parametrize("writes", zombies.EVACUATION_WRITES, ids=str)
def test_a_conductor_that_wakes_up_before_a_write_changes_nothing(
        tmp_path_factory: pytest.TempPathFactory, writes: zombies.Writes) -> None:
    assert zombies.tried_writes(lambda: EvacuationRig(tmp_path_factory.mktemp("rig")), EvacuationRig.begin,
                                faults=writes.faults) == writes.writers
