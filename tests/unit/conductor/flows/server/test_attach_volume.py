"""Flows of servers with volumes: what each needs and gives, and what is left when it breaks at each of its calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import sqlalchemy as sa

from conductor.engine.runner import Runner
from conductor.engine.slots import Slots
from conductor.run import CloudAccess, HandOver
from hostler import errors, ids
from hostler.db.models import Lock, Operation, Server, Snapshot, Volume, VolumeAttachment
from hostler.operations import states as operation_states
from hostler.resources.volume import states as volume_states
from scheduler.rpcapi import Choice, Request
from tests.harness import flows, zombies
from tests.harness.scheduler_rig import make_chooser
from tests.harness.volume_rig import Killed, ScriptedNodes, VolumeRig


class Parts(ScriptedNodes):
    """Storage nodes, and hosts whose guests have volumes: {server id: {volume ids}}."""

    def __init__(self, db: Any) -> None:
        super().__init__(db)
        self.guests: dict[str, set[str]] = {}

    def attach_volume(self, _context: Any, host: str, server_id: str, volume: Any) -> None:
        with self._call("attach_volume", host):
            self.guests.setdefault(server_id, set()).add(volume.volume_id)

    def detach_volume(self, _context: Any, host: str, server_id: str, volume_id: str, _timeout_s: int) -> None:
        with self._call("detach_volume", host):
            self.guests.get(server_id, set()).discard(volume_id)

    def spawn_server(self, _context: Any, host: str, server: Any, _groups: Any) -> dict[str, Any]:
        with self._call("spawn_server", host):
            self.guests[server.id] = {volume.volume_id for volume in server.volumes}
        return {"power_state": "running"}

    def destroy_server(self, _context: Any, host: str, server_id: str, _ports: Any) -> None:
        with self._call("destroy_server", host):
            self.guests.pop(server_id, None)

    def select_host(self, _context: Any, request: Request) -> Choice:
        if request.excluded_hosts:
            raise errors.NoValidHost(reason="There are not enough hosts available.", removed={}, retry=False)
        self.last_request = request
        return Choice(host_id=self.host_id, host="host1", zone="nova")

    host_id = ""
    last_request: dict[str, Any] = {}


class ServerRig(VolumeRig):
    """As VolumeRig, with guests."""

    nodes: Parts

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, **{"volume.detach_timeout": 1})
        self.nodes = Parts(self.db)
        self.nodes.host_id = self.host_id
        chooser = make_chooser(self.db)
        scheduler = mock.Mock()
        scheduler.select_host = self.nodes.select_host
        scheduler.select_backends = lambda _context, requests: chooser.choose(requests)
        self.cloud = CloudAccess(self.conf, self.db, scheduler, self.nodes, mock.Mock(), self.nodes)  # type: ignore[arg-type]
        self.runner = Runner(self.cloud, Slots(limit=20), lambda: self.stopping)

    def server(self, *, placed: bool = True, **values: Any) -> str:
        """Write a server (on host1, with a guest, unless told otherwise); returns its id."""
        server_id = self.add(Server(
            id=ids.new_id(), name="s", project_id=self.context.project_id, user_id=self.context.user_id,
            flavor_id=ids.new_id(), vcpus=1, ram_mib=64, root_gib=5, host_id=self.host_id if placed else None,
            **{"vm_state": "active" if placed else "building", **values}))
        if placed:
            self.nodes.guests[server_id] = set()
        return server_id

    def promise(self, server_id: str, volume_id: str, **values: Any) -> str:
        """Write an attachment that is only promised; returns its id."""
        return self.add(VolumeAttachment(**{
            "id": ids.new_id(), "volume_id": volume_id, "server_id": server_id, "device": "vdb",
            "state": volume_states.RESERVED, **values}))

    def join(self, server_id: str, volume_id: str, **values: Any) -> str:
        """Write an attachment that is there on all sides; returns its id."""
        attachment_id = self.promise(server_id, volume_id, state=volume_states.ATTACHED,
                                     connection={"protocol": "nbd", "format": "raw", "data": {}}, **values)
        self.nodes.connections.setdefault(("node1", "b1"), {})[attachment_id] = volume_id
        self.nodes.guests[server_id].add(volume_id)
        return attachment_id

    def attachments(self) -> list[Any]:
        """Return all attachments."""
        with self.db.reading() as session:
            return list(session.scalars(sa.select(VolumeAttachment)))


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[ServerRig]:
    made = ServerRig(tmp_path)
    yield made
    made.close()


def attach(rig: ServerRig) -> str:
    server_id, volume_id = rig.server(), rig.volume()
    attachment_id = rig.promise(server_id, volume_id)
    return rig.accept("server.attach_volume", server_id, (("volume", volume_id),), attachment_id=attachment_id,
                      volume_id=volume_id)


def detach(rig: ServerRig) -> str:
    server_id, volume_id = rig.server(), rig.volume()
    attachment_id = rig.join(server_id, volume_id)
    return rig.accept("server.detach_volume", server_id, (("volume", volume_id),), attachment_id=attachment_id,
                      volume_id=volume_id)


def boot(rig: ServerRig) -> str:
    server_id, old, new = rig.server(placed=False), rig.volume(), rig.volume(backend=None)
    rig.promise(server_id, new, device="vda", boot_index=0, delete_on_termination=True)
    rig.promise(server_id, old)
    return rig.accept("server.create", server_id, (("volume", old), ("volume", new)), volumes=True,
                      sources={new: None})


def delete(rig: ServerRig) -> str:
    server_id = rig.server()
    rig.join(server_id, rig.volume())
    rig.join(server_id, rig.volume(), delete_on_termination=True, device="vdc")
    return rig.accept("server.delete", server_id)


def after_attach(rig: ServerRig, operation: Operation, ended: str) -> None:
    rows = rig.attachments()
    assert [row.state for row in rows] == ([volume_states.ATTACHED] if ended == "succeeded" else [])
    assert rig.nodes.guests == {operation.resource_id: {row.volume_id for row in rows}}
    assert (rig.one(Server, operation.resource_id).fault is None) == (ended == "succeeded")


def after_detach(rig: ServerRig, operation: Operation, ended: str) -> None:
    rows = rig.attachments()
    assert [row.state for row in rows] == ([] if ended == "succeeded" else [volume_states.ATTACHED])
    assert all(row.connection for row in rows)
    assert rig.nodes.guests == {operation.resource_id: {row.volume_id for row in rows}}


def after_boot(rig: ServerRig, operation: Operation, ended: str) -> None:
    rows, server = rig.attachments(), rig.one(Server, operation.resource_id)
    [new] = operation.arguments["sources"]
    volume = rig.one(Volume, new)
    if ended == "succeeded":
        assert server.vm_state == "active" and len(rows) == 2 and all(row.attached_at for row in rows)
        assert (volume.state, volume.zone) == (volume_states.READY, "nova") and volume.provider
        assert rig.nodes.guests == {server.id: {row.volume_id for row in rows}}
    else:
        assert (server.vm_state, server.host_id) == ("error", None) and not rows and rig.nodes.guests == {}
        assert (volume.state, volume.backend_id) == (volume_states.DELETED, None) and volume.deleted_at


def after_delete(rig: ServerRig, operation: Operation, ended: str) -> None:
    rows, server = rig.attachments(), rig.one(Server, operation.resource_id)
    if ended == "failed":
        # Its host could not remove the guest: everything is as it was, and may be deleted again.
        assert server.vm_state == "error" and len(rows) == 2 and all(row.connection for row in rows)
        return
    assert server.deleted_at is not None and not rows and rig.nodes.guests == {}
    with rig.db.reading() as session:
        found = sorted(session.scalars(sa.select(Volume.state)))
    assert found in (["available", "deleted"], ["available", "error_deleting"])


After = Callable[[ServerRig, Operation, str], None]
SCENARIOS: dict[str, tuple[Callable[[ServerRig], str], After, list[str]]] = {
    "attach": (attach, after_attach, ["connect_volume", "attach_volume"]),
    "detach": (detach, after_detach, ["detach_volume", "disconnect_volume"]),
    "boot": (boot, after_boot, ["create_volume", "connect_volume", "connect_volume", "spawn_server"]),
    "delete": (delete, after_delete, ["destroy_server", "disconnect_volume", "disconnect_volume", "delete_volume"])}
BREAKS = [(name, number, when) for name, (_, _, calls) in SCENARIOS.items() for number in range(len(calls))
          for when in ("before", "after")]


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_calls_of_each_flow(rig: ServerRig, name: str) -> None:
    prepare, after, calls = SCENARIOS[name]
    operation_id = prepare(rig)
    assert rig.finish(operation_id) == operation_states.SUCCEEDED
    assert rig.nodes.calls == calls
    after(rig, rig.one(Operation, operation_id), "succeeded")
    rig.check()


@pytest.mark.long
@pytest.mark.parametrize(("name", "number", "when"), BREAKS)
def test_a_conductor_killed_at_any_call_is_followed_by_one_that_finishes(rig: ServerRig, name: str, number: int,
                                                                         when: str) -> None:
    prepare, after, _ = SCENARIOS[name]
    operation_id = prepare(rig)
    rig.nodes.faults[number] = (when, Killed())
    assert rig.finish(operation_id) == operation_states.SUCCEEDED
    after(rig, rig.one(Operation, operation_id), "succeeded")
    rig.check()


@pytest.mark.long
@pytest.mark.parametrize(("name", "number", "when"), BREAKS)
def test_a_call_that_fails_leaves_one_of_two_states(rig: ServerRig, name: str, number: int, when: str) -> None:
    prepare, after, calls = SCENARIOS[name]
    operation_id = prepare(rig)
    rig.nodes.faults[number] = (when, errors.AgentError(reason="It broke."))
    ended = rig.finish(operation_id)
    tolerated = name == "delete" and calls[number] != "destroy_server"
    assert ended == (operation_states.SUCCEEDED if tolerated else operation_states.FAILED)
    operation = rig.one(Operation, operation_id)
    after_failed_destroy = name == "delete" and number == 0 and when == "after"
    if not after_failed_destroy:  # its guest is gone, which the next deletion finds
        after(rig, operation, "succeeded" if tolerated else "failed")
    rig.reconcile()
    with rig.db.reading() as session:
        left = session.scalars(sa.select(Volume.id).where(Volume.state == volume_states.ERROR_DELETING)).all()
    assert bool(left) == (name == "delete" and calls[number] == "delete_volume")
    for volume_id in left:  # what could not be removed is not forgotten: its owner deletes it again
        assert rig.finish(rig.accept("volume.delete", volume_id, cascade=False)) == operation_states.SUCCEEDED
    rig.check()
    if not tolerated:
        assert "It broke." in str(operation.message)


@pytest.mark.parametrize("name", ["attach", "detach", "boot"])
@pytest.mark.parametrize("number", range(4))
def test_an_agent_silent_for_a_moment_is_waited_for(rig: ServerRig, name: str, number: int) -> None:
    prepare, after, calls = SCENARIOS[name]
    if number >= len(calls):
        return
    operation_id = prepare(rig)
    rig.nodes.faults[number] = ("after", errors.Silent(part="The agent"))
    assert isinstance(rig.run(operation_id), HandOver)
    rig.let_pass(operation_id)
    assert rig.finish(operation_id) == operation_states.SUCCEEDED
    after(rig, rig.one(Operation, operation_id), "succeeded")
    rig.check()


def test_a_guest_that_holds_on_fails_the_detach_and_nothing_else(rig: ServerRig) -> None:
    operation_id = detach(rig)
    rig.nodes.faults[0] = ("before", errors.AgentError(reason="The guest did not let go of volume v in 1 seconds."))
    assert rig.finish(operation_id) == operation_states.FAILED
    assert rig.nodes.calls == ["detach_volume", "attach_volume"]
    operation = rig.one(Operation, operation_id)
    assert "did not let go" in operation.message
    assert "did not let go" in rig.one(Server, operation.resource_id).fault["message"]
    assert rig.one(Server, operation.resource_id).vm_state == "active"
    after_detach(rig, operation, "failed")
    rig.check()


def test_a_server_on_no_host_needs_nobody(rig: ServerRig) -> None:
    server_id, volume_id = rig.server(placed=False, vm_state="shelved_offloaded"), rig.volume()
    attachment_id = rig.promise(server_id, volume_id)
    for kind in ("server.attach_volume", "server.detach_volume"):
        operation_id = rig.accept(kind, server_id, (("volume", volume_id),), attachment_id=attachment_id,
                                  volume_id=volume_id)
        assert rig.finish(operation_id) == operation_states.SUCCEEDED
    assert rig.attachments() == [] and set(rig.nodes.calls) <= {"disconnect_volume"}
    rig.check()


def test_a_root_volume_takes_no_room_on_the_host(rig: ServerRig) -> None:
    rig.finish(boot(rig))
    assert rig.nodes.last_request.disk_gib == 0


def test_no_back_end_for_a_new_volume_means_no_host_was_asked(rig: ServerRig) -> None:
    server_id, new = rig.server(placed=False), rig.volume(backend=None, size_gib=1000, claimed_gib=1000)
    rig.promise(server_id, new, boot_index=0)
    operation_id = rig.accept("server.create", server_id, (("volume", new),), volumes=True, sources={new: None})
    assert rig.finish(operation_id) == operation_states.FAILED
    assert rig.nodes.calls == [] and rig.nodes.last_request == {}
    after_boot(rig, rig.one(Operation, operation_id), "failed")
    rig.check()


def test_a_deletion_waits_for_who_holds_a_volume_or_copies_it(rig: ServerRig) -> None:
    operation_id = delete(rig)
    doomed = next(row.volume_id for row in rig.attachments() if row.delete_on_termination)
    other = rig.accept("volume.extend", doomed, size_gib=3)
    stop = rig.run(operation_id)
    assert isinstance(stop, HandOver) and rig.nodes.calls == []
    with rig.db.reading() as session:
        assert session.scalars(sa.select(Lock.kind).where(Lock.resource_id == doomed)).all() == ["volume.extend"]
    rig.db.write(lambda session: session.execute(sa.delete(Lock).where(Lock.operation_id == other)))
    rig.db.write(lambda session: session.execute(sa.delete(Operation).where(Operation.id == other)))
    copy = rig.volume(backend=None, source_volume_id=doomed)
    rig.let_pass(operation_id)
    assert isinstance(rig.run(operation_id), HandOver)
    rig.db.write(lambda session: session.execute(sa.update(Volume).where(Volume.id == copy).values(
        state=volume_states.ERROR)))
    rig.let_pass(operation_id)
    assert rig.finish(operation_id) == operation_states.SUCCEEDED
    after_delete_states = {rig.one(Volume, doomed).state}
    assert after_delete_states == {volume_states.DELETED}


def test_a_volume_with_a_snapshot_stays(rig: ServerRig) -> None:
    operation_id = delete(rig)
    doomed = next(row.volume_id for row in rig.attachments() if row.delete_on_termination)
    snapshot_id = rig.snapshot(doomed)
    assert rig.finish(operation_id) == operation_states.SUCCEEDED
    assert rig.one(Volume, doomed).state == volume_states.READY
    assert rig.one(Snapshot, snapshot_id).deleted_at is None and rig.attachments() == []
    rig.check()


@pytest.mark.parametrize(("kind", "arguments", "tasks", "provides"), [
    ("server.attach_volume", {}, ["ConnectVolume", "PlugVolume"], set()),
    ("server.detach_volume", {}, ["UnplugVolume", "DisconnectVolume"], set()),
    ("server.create", {}, ["SelectHost", "AssignHost", "SpawnServer"], {"choice", "guest"}),
    ("server.create", {"volumes": True}, ["PlaceVolumes", "SelectHost", "AssignHost", "FillVolumes", "ConnectVolumes",
                                          "SpawnServer"], {"choice", "guest"})])
def test_what_each_flow_needs_and_gives(kind: str, arguments: dict[str, Any], tasks: list[str],
                                        provides: set[str]) -> None:
    flow = flows.build(kind, {**flows.sample(kind), **arguments})
    assert [task.name for task, _ in flow.iter_nodes() if hasattr(task, "execute")] == tasks or sorted(
        task.name for task in _tasks(flow)) == sorted(tasks)
    assert flow.requires <= flows.argument_names(kind) and flow.provides == provides


def _tasks(flow: Any) -> list[Any]:
    found = []
    for item, _ in flow.iter_nodes():
        found += _tasks(item) if hasattr(item, "iter_nodes") else [item]
    return found


@pytest.mark.long
@pytest.mark.parametrize("writes", zombies.SERVER_WRITES, ids=str)
def test_a_conductor_that_wakes_up_before_a_write_changes_nothing(
        tmp_path_factory: pytest.TempPathFactory, writes: zombies.Writes) -> None:
    def make() -> ServerRig:
        return ServerRig(tmp_path_factory.mktemp("rig"))

    scenario, _, _ = SCENARIOS[writes.scenario]
    assert zombies.tried_writes(make, scenario, faults=writes.faults) == writes.writers


def test_without_the_fence_the_server_would_be_taken_off_its_host(rig: ServerRig) -> None:
    operation_id = boot(rig)
    with pytest.raises(AssertionError, match=r"AssignHost\.execute changed something"):
        zombies.run_without_fence(rig, operation_id, 0)
