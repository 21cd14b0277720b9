"""A live migration with a volume, killed or failing at each of its calls: one host has the guest, its claim and the
only connection to the volume; on the way both hosts have one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import sqlalchemy as sa
from sqlalchemy import orm

from conductor.engine.runner import Runner
from conductor.engine.slots import Slots
from conductor.run import CloudAccess
from conductor.tasks.host import live_migration
from hostler import errors, ids
from hostler.db.models import Allocation, Host, Migration, Operation, Server, VolumeAttachment
from hostler.operations import states as operation_states
from hostler.operations.accept import Target, accept
from hostler.operations.kinds import server as kinds
from hostler.resources import revisions
from hostler.resources.server import allocations, migrations
from hostler.resources.volume import states as volume_states
from hostler.resources.volume.specs import ConnectionSpec
from scheduler.rpcapi import Choice, Request
from tests.harness.volume_rig import Killed, ScriptedNodes, VolumeRig

CALLS = ["describe_migration", "connect_volume", "prepare_migration", "send_server", "arrive_server", "destroy_server",
         "disconnect_volume"]
BREAKS = [(number, when) for number in range(len(CALLS)) for when in ("before", "after")]
SENT = CALLS.index("send_server")


class Parts(ScriptedNodes):
    """Storage nodes, and two hosts with one guest on `guest_host`; `let_in` maps a connection to its host."""

    def __init__(self, db: Any) -> None:
        super().__init__(db)
        self.guest_host = "host1"
        self.let_in: dict[str, str] = {}
        self.arrived: Any = None
        self.on_the_way: Callable[[str], object] = lambda _server_id: None
        self.beside: set[str | None] = set()
        self.landing: dict[str, Any] = {}
        self.describing: Callable[[], object] = lambda: None
        self.removing: Callable[[], object] = lambda: None
        self.origin: dict[str, Any] = {}
        self.prepared_from: dict[str, Any] = {}

    def connect_volume(self, _context: Any, node: str, volume: Any, attachment_id: str, connector: Any,
                       readonly: bool, *, beside: str | None = None) -> Any:
        super().connect_volume(_context, node, volume, attachment_id, connector, readonly)
        self.let_in[attachment_id] = connector.host
        self.beside.add(beside)
        return ConnectionSpec(protocol="nbd", data={"for": connector.host})

    def disconnect_volume(self, _context: Any, node: str, volume: Any, attachment_id: str) -> None:
        super().disconnect_volume(_context, node, volume, attachment_id)
        self.let_in.pop(attachment_id, None)

    def describe_migration(self, _context: Any, host: str, server: Any) -> dict[str, Any]:
        with self._call("describe_migration", host):
            self.describing()
            assert [volume.connection.data["for"] for volume in server.volumes] == ["host1"]
        return self.origin

    def offer_base(self, _context: Any, host: str, _server_id: str, to_host: str) -> dict[str, Any]:
        with self._call("offer_base", host):
            return {"host": host, "to": to_host}

    def prepare_migration(self, _context: Any, host: str, server: Any, origin: Any, *_: Any) -> dict[str, Any]:
        with self._call("prepare_migration", host):
            self.prepared_from = origin
            assert [volume.connection.data["for"] for volume in server.volumes] == ["host2"]
        return self.landing

    def send_server(self, _context: Any, host: str, server_id: str, _landing: Any) -> dict[str, Any]:
        with self._call("send_server", host):
            self.on_the_way(server_id)
            if self.guest_host == host:
                assert sorted(self.let_in.values()) == ["host1", "host2"]
                self.guest_host = "host2"
        return {"state": "moved", "reason": "", "progress": None}

    def watch_migration(self, _context: Any, host: str, _server_id: str, _wait_s: float) -> dict[str, Any]:
        with self._call("watch_migration", host):
            return {"state": "idle" if self.guest_host == host else "moved", "reason": "", "progress": None}

    def sum_server_disks(self, _context: Any, host: str, _server: Any) -> dict[str, str]:
        with self._call("sum_server_disks", host):
            return {}

    def compare_server_disks(self, _context: Any, host: str, _server: Any, _sums: Any) -> None:
        with self._call("compare_server_disks", host):
            assert host == self.guest_host

    def arrive_server(self, _context: Any, host: str, server: Any, _groups: Any) -> dict[str, Any]:
        with self._call("arrive_server", host):
            self.arrived = server
            assert (self.guest_host, [volume.connection.data["for"] for volume in server.volumes]) == (host, [host])
        return {"power_state": "running"}

    def destroy_server(self, _context: Any, host: str, _server_id: str, _ports: Any) -> None:
        with self._call("destroy_server", host):
            self.removing()
            assert host != self.guest_host


class LiveRig(VolumeRig):
    """Two hosts, the first with a server and its volume."""

    nodes: Parts

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.nodes = Parts(self.db)
        self.target_id = self.add(Host(id=ids.new_id(), name="host2", number=2, vcpus=8, ram_mib=8192, disk_gib=100,
                                       zone_id=self.one(Host, self.host_id).zone_id, last_seen_at=None))
        self.choosing: Callable[[], object] = lambda: None
        scheduler = mock.Mock()
        scheduler.select_host = self._select
        self.cloud = CloudAccess(self.conf, self.db, scheduler, self.nodes, mock.Mock(), self.nodes)  # type: ignore[arg-type]
        self.runner = Runner(self.cloud, Slots(limit=20), lambda: self.stopping)

    def _select(self, _context: Any, request: Request) -> Choice:
        self.choosing()

        def work(session: orm.Session) -> None:
            if session.get(Allocation, (request.consumer_id, self.target_id)) is None:
                self._claim(session, request.consumer_id, self.target_id)

        self.db.write(work)
        return Choice(host_id=self.target_id, host="host2", zone="nova")

    @staticmethod
    def _claim(session: orm.Session, consumer_id: str, host_id: str) -> None:
        assert allocations.claim(session, consumer_id=consumer_id, host_id=host_id, expected_generation=None, vcpus=1,
                                 ram_mib=64, disk_gib=5)

    def begin(self) -> str:
        """Write a server with its volume on the first host, and accept its migration; returns the operation."""
        self.db.write(lambda session: session.execute(sa.update(Host).where(Host.id == self.host_id).values(
            vcpus=8, ram_mib=8192, disk_gib=100)))
        server_id = self.add(Server(
            id=ids.new_id(), name="s", project_id=self.context.project_id, user_id=self.context.user_id,
            flavor_id=ids.new_id(), vcpus=1, ram_mib=64, root_gib=5, host_id=self.host_id, vm_state="active"))
        self.db.write(lambda session: self._claim(session, server_id, self.host_id))
        volume_id, attachment_id = self.volume(), ids.new_id()
        self.add(VolumeAttachment(
            id=attachment_id, volume_id=volume_id, server_id=server_id, device="vdb", state=volume_states.ATTACHED,
            connector={"host": "host1"}, connection={"protocol": "nbd", "format": "raw", "data": {"for": "host1"}}))
        self.nodes.let_in[attachment_id] = "host1"
        self.nodes.connections.setdefault(("node1", "b1"), {})[attachment_id] = volume_id

        def work(session: orm.Session) -> str:
            server = session.get_one(Server, server_id)
            operation = accept(session, self.context, kinds.LIVE_MIGRATE, Target("server", server_id),
                               kinds.LiveMigrate(), project_id=server.project_id, host_id=server.host_id)
            migrations.begin(session, self.context, server, operation.id, migrations.LIVE_MIGRATION,
                             status=migrations.ACCEPTED)
            return operation.id

        return self.db.write(work)

    def check_at(self, operation_id: str, host: str) -> None:
        """Check that the server, its guest, its claim and its connection are at `host`, and nowhere else."""
        server: Server = self.one(Server, self.one(Operation, operation_id).resource_id)
        host_id = {"host1": self.host_id, "host2": self.target_id}[host]
        with self.db.reading() as session:
            claims = session.execute(sa.select(Allocation.consumer_id, Allocation.host_id)).all()
            attachment = session.scalars(sa.select(VolumeAttachment)).one()
            assert self.nodes.let_in == {attachment.connected_as: host}
            assert (attachment.connector["host"], attachment.connection["data"]) == (host, {"for": host})
        assert [tuple(claim) for claim in claims] == [(server.id, host_id)]
        assert (server.host_id, server.vm_state, self.nodes.guest_host) == (host_id, "active", host)
        self.check()

    def migration(self) -> str:
        """Return the status of the only migration."""
        with self.db.reading() as session:
            return session.scalars(sa.select(Migration.status)).one()


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[LiveRig]:
    made = LiveRig(tmp_path)
    yield made
    made.close()


def test_the_calls_and_the_end(rig: LiveRig) -> None:
    operation_id = rig.begin()
    [attachment_id] = rig.nodes.let_in
    assert rig.finish(operation_id) == operation_states.SUCCEEDED
    assert (rig.nodes.calls, rig.nodes.beside) == (CALLS, {attachment_id})
    rig.check_at(operation_id, "host2")
    assert rig.migration() == "completed"


@pytest.mark.parametrize(("number", "when"), BREAKS)
def test_a_conductor_killed_at_any_call_is_followed_by_one_that_finishes(rig: LiveRig, number: int, when: str) -> None:
    operation_id = rig.begin()
    rig.nodes.faults[number] = (when, Killed())
    assert rig.finish(operation_id) == operation_states.SUCCEEDED
    rig.check_at(operation_id, "host2")


@pytest.mark.parametrize(("number", "when"), [each for each in BREAKS if each[0] <= SENT + 1])
def test_a_call_that_fails_leaves_one_connection_where_the_guest_is(rig: LiveRig, number: int, when: str) -> None:
    operation_id = rig.begin()
    rig.nodes.faults[number] = (when, errors.AgentError(reason="It broke."))
    assert rig.finish(operation_id) == operation_states.FAILED
    left = (number, when) >= (SENT, "after") and (number, when) != (SENT, "before")
    rig.check_at(operation_id, "host2" if left else "host1")
    assert rig.migration() == ("completed" if left else "failed")


@pytest.mark.parametrize("number", range(4, 7))
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_conductor_killed_in_the_revert(rig: LiveRig, number: int, when: str) -> None:
    operation_id = rig.begin()
    rig.nodes.faults[SENT] = ("before", errors.AgentError(reason="It broke."))
    rig.nodes.faults[number] = (when, Killed())
    assert rig.finish(operation_id) == operation_states.FAILED
    rig.check_at(operation_id, "host1")


def test_what_changes_on_the_way_is_known_when_it_arrives(rig: LiveRig) -> None:
    def rename(server_id: str) -> None:
        rig.db.write(lambda session: (
            session.execute(sa.update(Server).where(Server.id == server_id).values(name="renamed")),
            revisions.server_changed(session, server_id)))

    operation_id = rig.begin()
    rig.nodes.on_the_way = rename
    assert rig.finish(operation_id) == operation_states.SUCCEEDED
    assert rig.nodes.arrived.name == "renamed"
    rig.check_at(operation_id, "host2")


def test_the_source_describes_the_guest_while_the_target_is_chosen(rig: LiveRig) -> None:
    both = threading.Barrier(2, timeout=30)
    rig.choosing = rig.nodes.describing = both.wait
    operation_id = rig.begin()
    assert rig.finish(operation_id) == operation_states.SUCCEEDED
    assert rig.nodes.calls == CALLS


@pytest.mark.parametrize("paused", [False, True])
def test_the_source_removes_what_it_keeps_while_the_records_are_written(rig: LiveRig, monkeypatch: pytest.MonkeyPatch,
                                                                      paused: bool) -> None:
    both, turns = threading.Barrier(2, timeout=30), []
    switched = live_migration.land

    def land(*arguments: Any) -> None:
        turns.append("records")
        if not paused:
            both.wait()
        switched(*arguments)

    monkeypatch.setattr(live_migration, "land", land)
    rig.nodes.landing = {"paused": paused}
    rig.nodes.removing = (lambda: turns.append("source")) if paused else both.wait
    operation_id = rig.begin()
    assert rig.finish(operation_id) == operation_states.SUCCEEDED
    assert rig.nodes.calls.count("destroy_server") == 1
    assert not paused or turns == ["records", "source"], "who takes over may have to compare the source's disks"
    rig.check_at(operation_id, "host2")


def test_who_takes_over_has_the_guest_described_again(rig: LiveRig) -> None:
    operation_id = rig.begin()
    rig.nodes.faults[CALLS.index("prepare_migration")] = ("before", Killed())
    assert rig.finish(operation_id) == operation_states.SUCCEEDED
    assert rig.nodes.calls == [*CALLS[:3], "describe_migration", *CALLS[2:]]


def test_what_the_root_disk_builds_on_is_offered_to_the_target(rig: LiveRig) -> None:
    rig.nodes.origin = {"base": "ab" * 32}
    assert rig.finish(rig.begin()) == operation_states.SUCCEEDED
    assert rig.nodes.calls == [*CALLS[:2], "offer_base", *CALLS[2:]]
    assert rig.nodes.prepared_from == {**rig.nodes.origin, "offer": {"host": "host1", "to": "host2"}}


def test_a_guest_on_its_way_is_written_down_with_the_step_that_sends_it(rig: LiveRig) -> None:
    seen: list[str] = []
    rig.nodes.on_the_way = lambda _server_id: seen.append(rig.migration())
    assert rig.finish(rig.begin()) == operation_states.SUCCEEDED
    assert seen == ["running"]


def test_disks_are_not_compared_once_the_source_may_have_removed_its_own(rig: LiveRig) -> None:
    rig.nodes.landing = {"paused": True}
    operation_id = rig.begin()
    calls = [*CALLS[:4], "sum_server_disks", "compare_server_disks", *CALLS[4:]]
    rig.nodes.faults[calls.index("destroy_server")] = ("after", Killed())
    assert rig.finish(operation_id) == operation_states.SUCCEEDED
    assert rig.nodes.calls == [*calls[:8], "arrive_server", "destroy_server", "disconnect_volume"]
    rig.check_at(operation_id, "host2")
