"""The operations on volumes, accepted in the database and run by every service in this process on fake storage nodes.

What arrived is looked at on the nodes themselves: contents, sizes, snapshots, exports, backups.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import orm

from hostler import clock, ids
from hostler.agent.faults import Order
from hostler.context import RequestContext
from hostler.db.models import (
    Backend,
    Backup,
    Image,
    Lock,
    Operation,
    Snapshot,
    Volume,
    VolumeAttachment,
    VolumeNode,
    VolumeType,
    Zone,
)
from hostler.operations import notes
from hostler.operations import states as operation_states
from hostler.operations.accept import Target, accept, accept_behind
from hostler.operations.kinds.registry import KINDS
from hostler.resources.volume import backend_claims
from hostler.resources.volume import states as volume_states
from tests.harness.client import Client
from tests.harness.inprocess import Cloud
from tests.harness.ports import wait_for


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cloud, Client]]:
    """A cloud with two storage nodes that reach one backup store."""
    shared = tmp_path_factory.mktemp("backups")
    options = {f"node{number}": {"backend:fake": {"driver": "fake", "volume_backend_name": f"kind{number}"},
                                 "volume": {"backup_dir": str(shared)}} for number in (1, 2)}
    cloud = Cloud(tmp_path_factory.mktemp("cloud"), hosts=1, nodes=2, node_options=options,
                  overrides={"conductor.agent_patience": 3})
    client = cloud.start()
    cloud.conf.set_override("public_url", cloud.url, "api")
    try:
        yield cloud, client
    finally:
        cloud.stop()


class Words:
    """What the tests say to the cloud."""

    def __init__(self, cloud: Cloud, client: Client) -> None:
        self.cloud = cloud
        self.db = cloud.db
        self.context = RequestContext(user_id=ids.canonical(client.token["user"]["id"]),
                                      project_id=ids.canonical(client.project_id),
                                      roles=["admin"], request_id=f"req-{ids.new_id()}")
        self.owned = {"project_id": self.context.project_id, "user_id": self.context.user_id}

    def add(self, row: Any) -> str:
        """Write a row; returns its id."""
        def work(session: orm.Session) -> str:
            session.add(row)
            session.flush()
            return str(row.id)

        return self.db.write(work)

    def begin(self, kind: str, resource_id: str, *also: tuple[str, str], behind: bool = False,
              **arguments: Any) -> str:
        """Accept an operation; returns its id. Nobody is woken: conductors find it."""
        row = KINDS[kind]
        target, said = Target(row.resources[0], resource_id), row.arguments(**arguments)

        def work(session: orm.Session) -> str:
            if behind:
                return accept_behind(session, self.context, row, target, said).id
            return accept(session, self.context, row, target, said,
                          also_lock=[Target(*one) for one in also]).id

        return self.db.write(work)

    def end(self, operation_id: str, *, state: str = operation_states.SUCCEEDED) -> Operation:
        """Wait for an operation's end, which must be `state`."""
        wait_for(lambda: self.one(Operation, operation_id).state in operation_states.FINISHED, "the end", 30)
        operation: Operation = self.one(Operation, operation_id)
        assert operation.state == state, operation.message
        return operation

    def do(self, kind: str, resource_id: str, *also: tuple[str, str], **arguments: Any) -> Operation:
        """Accept an operation and wait until it succeeded."""
        return self.end(self.begin(kind, resource_id, *also, **arguments))

    def one(self, model: Any, identity: str) -> Any:
        """Return a row."""
        with self.db.reading() as session:
            return session.get(model, identity)

    def new(self, *, source: str | None = None, **values: Any) -> str:
        """Write and begin a volume; returns its id and leaves the end to `volume`."""
        return self.add(Volume(id=ids.new_id(), name="v", state=volume_states.CREATING, **self.owned,
                               **{"size_gib": 1, "claimed_gib": values.get("size_gib", 1), "zone": "nova", **values}))

    def volume(self, *, source: str | None = None, content: str = "", **values: Any) -> str:
        """Create a volume; returns its id."""
        volume_id = self.new(**values)
        self.do("volume.create", volume_id, source=source)
        if content:
            self.driver(volume_id).write(volume_id, content)
        return volume_id

    def driver(self, volume_id: str) -> Any:
        """Return the fake driver a volume is on."""
        with self.db.reading() as session:
            node = session.scalar(sa.select(VolumeNode.name).join(Backend, Backend.node_id == VolumeNode.id).join(
                Volume, Volume.backend_id == Backend.id).where(Volume.id == volume_id))
        return self.node(str(node))

    def node(self, name: str) -> Any:
        """Return a node's fake driver."""
        return self.cloud.volume_agents[name].backends.driver("fake")

    def backend_id(self, node: str) -> str:
        """Return the id of a node's back end."""
        with self.db.reading() as session:
            return str(session.scalar(sa.select(Backend.id).join(VolumeNode, VolumeNode.id == Backend.node_id).where(
                VolumeNode.name == node)))

    def used(self) -> int:
        """Return what is claimed of all back ends together."""
        with self.db.reading() as session:
            return sum(backend_claims.used_gib(session).values())

    def stray(self) -> set[str]:
        """Return what the nodes hold and no live record names."""
        with self.db.reading() as session:
            known = {*session.scalars(sa.select(Volume.id).where(Volume.deleted_at.is_(None))),
                     *session.scalars(sa.select(Snapshot.id).where(Snapshot.deleted_at.is_(None))),
                     *session.scalars(sa.select(VolumeAttachment.id))}
        found: set[str] = set()
        for agent in self.cloud.volume_agents.values():
            there = agent.backends.driver("fake").find()
            found |= {*there.volumes, *there.snapshots, *there.connections}
        return found - known


@pytest.fixture(scope="module")
def words(running: tuple[Cloud, Client]) -> Words:
    return Words(*running)


@pytest.fixture(autouse=True)
def nothing_is_left(words: Words) -> Iterator[None]:
    yield
    for agent in words.cloud.volume_agents.values():
        agent.faults.clear()
    assert not words.stray()
    with words.db.reading() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Lock)) == 0


def test_nodes_and_back_ends_are_known_with_their_zone(words: Words) -> None:
    with words.db.reading() as session:
        rows = session.execute(sa.select(VolumeNode.name, Zone.name, VolumeNode.backup_store)
                               .join(Zone, Zone.id == VolumeNode.zone_id).order_by(VolumeNode.name)).tuples().all()
        backends = session.scalars(sa.select(Backend).order_by(Backend.id)).all()
    assert [row[:2] for row in rows] == [("node1", "nova"), ("node2", "nova")]
    assert len({row[2] for row in rows}) == 1
    assert all(backend.healthy and backend.total_gib == 100_000 for backend in backends)
    assert {backend.capabilities["volume_backend_name"] for backend in backends} == {"kind1", "kind2"}
    assert len({backend.capabilities["storage_id"] for backend in backends}) == 2


def test_volumes_from_nothing_snapshot_volume_and_backup_carry_their_content(words: Words) -> None:
    first = words.volume(content="alpha")
    snapshot_id = words.add(Snapshot(id=ids.new_id(), volume_id=first, state=volume_states.CREATING, size_gib=1,
                                     **words.owned))
    words.do("snapshot.create", snapshot_id, ("volume", first))
    words.driver(first).write(first, "beta")
    assert words.one(Snapshot, snapshot_id).state == volume_states.READY
    from_snapshot = words.volume(source="snapshot", snapshot_id=snapshot_id, size_gib=3)
    assert words.driver(from_snapshot).content(from_snapshot) == "alpha"
    assert words.driver(from_snapshot).size_gib(from_snapshot) == 3
    from_volume = words.volume(source="volume", source_volume_id=first)
    assert words.driver(from_volume).content(from_volume) == "beta"
    words.do("volume.revert", first, ("snapshot", snapshot_id), snapshot_id=snapshot_id)
    assert words.driver(first).content(first) == "alpha"
    words.do("snapshot.delete", snapshot_id)
    assert words.driver(from_snapshot).content(from_snapshot) == "alpha"
    for volume_id in (first, from_snapshot, from_volume):
        words.do("volume.delete", volume_id, cascade=False)
        assert words.one(Volume, volume_id).deleted_at is not None


def test_a_volume_is_deleted_with_its_snapshots(words: Words) -> None:
    before, volume_id = words.used(), words.volume(size_gib=2)
    snapshots = [words.add(Snapshot(id=ids.new_id(), volume_id=volume_id, state=volume_states.CREATING, size_gib=2,
                                    **words.owned)) for _ in range(3)]
    for snapshot_id in snapshots:
        words.do("snapshot.create", snapshot_id, ("volume", volume_id))
    assert words.used() == before + 8
    words.do("volume.delete", volume_id, *(("snapshot", one) for one in snapshots), cascade=True)
    assert words.used() == before
    assert all(words.one(Snapshot, one).deleted_at for one in snapshots)


def test_an_extension_reaches_the_node(words: Words) -> None:
    volume_id = words.volume()
    words.db.write(lambda session: session.execute(
        sa.update(Volume).where(Volume.id == volume_id).values(claimed_gib=5)))
    words.do("volume.extend", volume_id, size_gib=5)
    assert words.driver(volume_id).size_gib(volume_id) == words.one(Volume, volume_id).size_gib == 5
    words.do("volume.delete", volume_id, cascade=False)


@pytest.mark.parametrize("kind", ["retype", "migrate"])
def test_a_volume_moves_with_its_content(words: Words, kind: str) -> None:
    volume_id = words.volume(content="moves along")
    source = words.driver(volume_id)
    target = "node2" if source is words.node("node1") else "node1"
    arguments: dict[str, Any] = {"backend_id": words.backend_id(target)}
    if kind == "retype":
        type_id = words.add(VolumeType(id=ids.new_id(), name=ids.new_id(),
                                       extra_specs={"volume_backend_name": f"kind{target[-1]}"}))
        arguments = {"volume_type_id": type_id, "migration_policy": "on-demand", "multiattach": False}
    words.do(f"volume.{kind}", volume_id, **arguments)
    assert words.driver(volume_id) is words.node(target)
    assert words.node(target).content(volume_id) == "moves along"
    assert volume_id not in source.find().volumes
    assert not source.find().connections
    words.do("volume.delete", volume_id, cascade=False)


def test_backups_full_and_incremental_are_restored_on_any_node_of_the_store(words: Words) -> None:
    volume_id = words.volume(content="first")
    full = words.add(Backup(id=ids.new_id(), volume_id=volume_id, state=volume_states.CREATING, size_gib=1,
                            **words.owned))
    words.do("backup.create", full, ("volume", volume_id))
    row = words.one(Backup, full)
    assert (row.state, row.zone) == (volume_states.READY, "nova")
    assert row.stored_bytes is not None and row.object_count > 0 and row.data_at is not None
    words.driver(volume_id).write(volume_id, "second")
    more = words.add(Backup(id=ids.new_id(), volume_id=volume_id, state=volume_states.CREATING, size_gib=1,
                            parent_id=full, **words.owned))
    words.do("backup.create", more, ("volume", volume_id))
    words.driver(volume_id).write(volume_id, "third")
    words.do("backup.restore", more, ("volume", volume_id), volume_id=volume_id)
    assert words.driver(volume_id).content(volume_id) == "second"
    made = [words.volume(source="backup", backup_id=full) for _ in range(2)]
    assert {words.driver(one).content(one) for one in made} == {"first"}
    for backup_id in (more, full):
        words.do("backup.delete", backup_id)
        assert words.one(Backup, backup_id).deleted_at is not None
    for one in (volume_id, *made):
        words.do("volume.delete", one, cascade=False)


def test_an_attachment_of_ones_own_is_connected_and_disconnected(words: Words) -> None:
    volume_id = words.volume()
    attachment_id = words.add(VolumeAttachment(id=ids.new_id(), volume_id=volume_id, state=volume_states.RESERVED,
                                               connector={"host": "elsewhere", "ip": "192.0.2.9"}))
    words.do("attachment.connect", volume_id, attachment_id=attachment_id)
    assert words.one(VolumeAttachment, attachment_id).connection["protocol"] == "fake"
    assert words.driver(volume_id).find().connections == {attachment_id: volume_id}
    words.do("attachment.delete", volume_id, attachment_id=attachment_id)
    assert words.one(VolumeAttachment, attachment_id) is None
    words.do("volume.delete", volume_id, cascade=False)


def test_a_back_end_that_refuses_is_left_for_another(words: Words) -> None:
    for agent in words.cloud.volume_agents.values():
        agent.faults.order(Order(step="volume.create_volume:before", action="fail", reason="The disk is broken."))
    volume_id = words.new()
    operation = words.end(words.begin("volume.create", volume_id, source=None), state=operation_states.FAILED)
    volume = words.one(Volume, volume_id)
    assert (volume.state, volume.backend_id) == (volume_states.ERROR, None)
    assert volume.fault["message"].startswith("The disk is broken.")
    with words.db.reading() as session:
        assert len(notes.keys(session, operation.id, notes.EXCLUDED)) == 2
    words.do("volume.delete", volume_id, cascade=False)
    words.cloud.volume_agents["node1"].faults.order(
        Order(step="volume.create_volume:before", action="fail", reason="The disk is broken."))
    volume_id = words.volume()
    words.do("volume.delete", volume_id, cascade=False)


def test_a_deletion_overtakes_a_creation(words: Words) -> None:
    for agent in words.cloud.volume_agents.values():
        agent.faults.order(Order(step="volume.create_volume:before", action="slow", seconds=1.0))
    volume_id = words.new()
    creation = words.begin("volume.create", volume_id, source=None)
    wait_for(lambda: words.one(Operation, creation).state == operation_states.RUNNING, "the creation's start")
    words.end(words.begin("volume.delete", volume_id, behind=True, cascade=False))
    assert words.one(Volume, volume_id).deleted_at is not None
    assert words.one(Operation, creation).state in operation_states.FINISHED


def test_what_was_deleted_behind_a_nodes_back_is_removed_by_reconciliation(words: Words) -> None:
    volume_id = words.volume()
    agent = next(agent for agent in words.cloud.volume_agents.values()
                 if agent.backends.driver("fake") is words.driver(volume_id))
    words.db.write(lambda session: session.execute(sa.update(Volume).where(Volume.id == volume_id).values(
        deleted_at=clock.utcnow(), state=volume_states.DELETED, backend_id=None)))
    assert volume_id in words.stray()
    agent.reconciler.run()
    assert volume_id not in words.stray()


def test_a_volume_becomes_an_image(words: Words) -> None:
    volume_id = words.volume(content="pixels")
    image_id = words.add(Image(id=ids.new_id(), name="i", project_id=words.context.project_id, status="queued",
                               disk_format="qcow2", container_format="bare"))
    words.do("volume.upload", volume_id, ("image", image_id), image_id=image_id, disk_format="qcow2")
    image = words.one(Image, image_id)
    assert (image.status, image.virtual_size_bytes) == ("active", 1 << 30)
    words.do("volume.delete", volume_id, cascade=False)
