"""A conductor on SQLite with the real choice of back ends and storage nodes that remember what they hold.

What the nodes hold is true storage, as far as these tests go: after every broken try it is compared with the records.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest import mock

import sqlalchemy as sa
from sqlalchemy import orm

from conductor import volume_reconcile
from conductor.engine.runner import Runner
from conductor.engine.slots import Slots
from conductor.run import CloudAccess
from hostler import clock, errors, ids
from hostler import conf as hostler_conf
from hostler.context import RequestContext
from hostler.db.engine import Database
from hostler.db.models import (
    Backend,
    Backup,
    Domain,
    Host,
    Image,
    Lock,
    Operation,
    Project,
    Server,
    Snapshot,
    Volume,
    VolumeAttachment,
    VolumeNode,
    VolumeType,
    Zone,
)
from hostler.operations import lease
from hostler.operations import states as operation_states
from hostler.operations.accept import Target, accept
from hostler.operations.kinds.registry import KINDS
from hostler.resources.volume import backend_claims
from hostler.resources.volume import states as volume_states
from hostler.resources.volume.specs import ConnectionSpec
from tests.harness import chosen_database, databases
from tests.harness.scheduler_rig import make_chooser

STORE = "5a7c0000-0000-4000-8000-000000000001"


class Killed(BaseException):
    """kill -9 of the conductor: no handler catches it."""


class ScriptedNodes:
    """All storage nodes and hosts. `faults` maps the number of a call to (before or after its effect, what to raise).

    Volumes are kept as {(node, back end): {id: content}}.
    """

    def __init__(self, db: Database) -> None:
        self._db = db
        self.calls: list[str] = []
        self.faults: dict[int, tuple[str, BaseException]] = {}
        self.silent: set[str] = set()
        self.volumes: dict[tuple[str, str], dict[str, str]] = {}
        self.sizes: dict[str, int] = {}
        self.snapshots: dict[tuple[str, str], dict[str, str]] = {}  # id → volume
        self.connections: dict[tuple[str, str], dict[str, str]] = {}  # attachment → volume
        self.backups: dict[str, set[str]] = {}

    @contextmanager
    def _call(self, name: str, node: str) -> Iterator[None]:
        number = len(self.calls)
        self.calls.append(name)
        if node in self.silent:
            raise errors.Silent(part="The volume service", host=node)
        when, error = self.faults.get(number, ("", None))
        if when == "before" and error is not None:
            raise error
        yield
        if when == "after" and error is not None:
            raise error

    def create_volume(self, _context: Any, node: str, volume: Any, source: Any) -> dict[str, Any]:
        with self._call("create_volume", node):
            place = self.volumes.setdefault((node, volume.backend), {})
            place.setdefault(volume.id, self._content(source))
            self.sizes[volume.id] = volume.size_gib
        return {"provider": {"made_by": node}}

    def _content(self, source: Any) -> str:
        if source.connection is not None:
            return str(source.connection.data["content"])
        for kind in ("volume", "snapshot", "backup", "image"):
            if getattr(source, kind) is not None:
                return f"{kind} {getattr(source, kind).id}"
        return ""

    def delete_volume(self, _context: Any, node: str, volume: Any) -> None:
        with self._call("delete_volume", node):
            self.volumes.get((node, volume.backend), {}).pop(volume.id, None)

    def extend_volume(self, _context: Any, node: str, volume: Any, size_gib: int) -> dict[str, Any]:
        with self._call("extend_volume", node):
            self.sizes[volume.id] = size_gib
        return {"provider": {"made_by": node, "grown": True}}

    def resize_volume(self, _context: Any, host: str, _server: str, volume_id: str, size_bytes: int) -> None:
        with self._call("resize_volume", host):
            self.sizes[volume_id] = size_bytes >> 30

    def create_snapshot(self, _context: Any, node: str, snapshot: Any, volume: Any) -> dict[str, Any]:
        with self._call("create_snapshot", node):
            self.snapshots.setdefault((node, volume.backend), {})[snapshot.id] = volume.id
        return {"provider": {"kept_by": node}}

    def delete_snapshot(self, _context: Any, node: str, snapshot: Any, volume: Any) -> None:
        with self._call("delete_snapshot", node):
            self.snapshots.get((node, volume.backend), {}).pop(snapshot.id, None)

    def revert_volume(self, _context: Any, node: str, volume: Any, snapshot: Any) -> dict[str, Any]:
        with self._call("revert_volume", node):
            self.volumes[(node, volume.backend)][volume.id] = f"snapshot {snapshot.id}"
        return {"provider": {"made_by": node}}

    def reimage_volume(self, _context: Any, node: str, volume: Any, image: Any) -> dict[str, Any]:
        with self._call("reimage_volume", node):
            self.volumes[(node, volume.backend)][volume.id] = f"image {image.id}"
        return {"provider": {"made_by": node}}

    def connect_volume(self, _context: Any, node: str, volume: Any, attachment_id: str, _connector: Any,
                       readonly: bool, *, beside: str | None = None) -> ConnectionSpec:
        with self._call("connect_volume", node):
            content = self.volumes[(node, volume.backend)][volume.id]
            self.connections.setdefault((node, volume.backend), {})[attachment_id] = volume.id
        return ConnectionSpec(protocol="nbd", data={"content": content, "readonly": readonly})

    def disconnect_volume(self, _context: Any, node: str, volume: Any, attachment_id: str) -> None:
        with self._call("disconnect_volume", node):
            self.connections.get((node, volume.backend), {}).pop(attachment_id, None)

    def create_backup(self, _context: Any, node: str, backup: Any, _volume: Any, _snapshot: Any) -> dict[str, Any]:
        with self._call("create_backup", node):
            self.backups.setdefault(backup.store, set()).add(backup.id)
        return {"stored_bytes": 512, "object_count": 3}

    def delete_backup(self, _context: Any, node: str, backup: Any) -> None:
        with self._call("delete_backup", node):
            self.backups.get(backup.store, set()).discard(backup.id)

    def restore_backup(self, _context: Any, node: str, backup: Any, volume: Any) -> dict[str, Any]:
        with self._call("restore_backup", node):
            self.volumes[(node, volume.backend)][volume.id] = f"backup {backup.id}"
        return {"provider": {"made_by": node}}

    def upload_volume(self, _context: Any, node: str, _volume: Any, upload: Any) -> None:
        with self._call("upload_volume", node):
            self._db.write(lambda session: session.execute(
                sa.update(Image).where(Image.id == upload.image_id).values(status="active")))

    def inventory(self, node: str) -> dict[str, Any]:
        """Return what `VolumeAPI.get_inventory` would."""
        places = {key for kept in (self.volumes, self.snapshots, self.connections) for key in kept if key[0] == node}
        return {"backends": {backend: {
            "volumes": list(self.volumes.get((node, backend), {})),
            "snapshots": list(self.snapshots.get((node, backend), {})),
            "connections": dict(self.connections.get((node, backend), {})), "error": None}
            for _, backend in places}, "backups": sorted(self.backups.get(STORE, ()))}

    def get_inventory(self, _context: Any, node: str) -> dict[str, Any]:
        if node in self.silent:
            raise errors.Silent(part="The volume service", host=node)
        return self.inventory(node)

    def obey(self, node: str, unwanted: dict[str, list[Any]]) -> None:
        """Remove what a conductor said to."""
        for item in unwanted["volumes"]:
            del self.volumes[(node, item["backend"])][item["id"]]
        for item in unwanted["snapshots"]:
            del self.snapshots[(node, item["backend"])][item["id"]]
        for item in unwanted["connections"]:
            del self.connections[(node, item["backend"])][item["attachment_id"]]
        for backup_id in unwanted["backups"]:
            self.backups[STORE].remove(backup_id)


class VolumeRig:
    """What the tests work with: back ends b1 on node1 and b2 on node2, 100 GiB each, one host, one backup store."""

    def __init__(self, directory: Path, **overrides: Any) -> None:
        self.conf = hostler_conf.load([], config_files=[], overrides={
            "database.connection": chosen_database.url_of(directory / "test.db"), "state_path": str(directory),
            "conductor.retry_delay": 0.05, "conductor.agent_patience": 1, "host": "control",
            "database.sqlite_synchronous": "OFF", **overrides})
        self.db = databases.prepare(Database.from_conf(self.conf))
        self.context = RequestContext(user_id=ids.new_id(), project_id=ids.new_id(), roles=["member"],
                                      request_id=f"req-{ids.new_id()}")
        self.nodes = ScriptedNodes(self.db)
        self.backends: dict[str, str] = {}
        self.host_id = self.db.write(self._seed)
        chooser = make_chooser(self.db)
        scheduler = mock.Mock()
        scheduler.select_backends = lambda _context, requests: chooser.choose(requests)
        self.cloud = CloudAccess(self.conf, self.db, scheduler, self.nodes,
                                 mock.Mock(**{"signed_url.return_value": "/signed"}), self.nodes)  # type: ignore[arg-type]
        self.stopping = False
        self.runner = Runner(self.cloud, Slots(limit=20), lambda: self.stopping)

    def _seed(self, session: orm.Session) -> str:
        session.add(Domain(id="default", name="Default"))
        zone = Zone(name="nova")
        session.add(zone)
        session.flush()
        session.add(Project(id=self.context.project_id, name="p", domain_id="default"))
        for number in (1, 2):
            node = VolumeNode(name=f"node{number}", zone_id=zone.id, last_seen_at=clock.utcnow(), backup_store=STORE)
            session.add(node)
            session.flush()
            backend = Backend(id=f"0000000{number}-0000-4000-8000-000000000000", name=f"b{number}", node_id=node.id,
                              driver="fake", total_gib=100.0, free_gib=100.0 - number,
                              capabilities={"storage_id": f"s{number}", "volume_backend_name": f"b{number}"})
            session.add(backend)
            self.backends[backend.name] = backend.id
        host = Host(name="host1", number=1, zone_id=zone.id, vcpus=8, ram_mib=8192, disk_gib=100)
        session.add(host)
        session.flush()
        return host.id

    def add(self, row: Any) -> str:
        """Write a row; returns its id."""
        def work(session: orm.Session) -> str:
            session.add(row)
            session.flush()
            return str(row.id)

        return self.db.write(work)

    def volume(self, *, backend: str | None = "b1", **values: Any) -> str:
        """Write a volume, which is on its back end unless that is None; returns its id."""
        place = self.backends[backend] if backend is not None else None
        values = {"state": volume_states.READY if backend else volume_states.CREATING, "size_gib": 2, "claimed_gib": 2,
                  "zone": "nova", "name": "v", **values}
        volume_id = self.add(Volume(id=ids.new_id(), project_id=self.context.project_id,
                                    user_id=self.context.user_id, backend_id=place, **values))
        if backend is not None:
            self.nodes.volumes.setdefault((f"node{backend[1]}", backend), {})[volume_id] = "data"
            self.nodes.sizes[volume_id] = values["size_gib"]
        return volume_id

    def snapshot(self, volume_id: str, *, there: bool = True, **values: Any) -> str:
        """Write a snapshot; returns its id."""
        state = volume_states.READY if there else volume_states.CREATING
        snapshot_id = self.add(Snapshot(id=ids.new_id(), project_id=self.context.project_id,
                                        user_id=self.context.user_id, volume_id=volume_id, size_gib=2,
                                        **{"state": state, **values}))
        if there:
            self.nodes.snapshots.setdefault(("node1", "b1"), {})[snapshot_id] = volume_id
        return snapshot_id

    def backup(self, volume_id: str, *, there: bool = True, **values: Any) -> str:
        """Write a backup; returns its id."""
        where = {"store": STORE, "node": "node1", "state": volume_states.READY} if there else {
            "state": volume_states.CREATING}
        backup_id = self.add(Backup(id=ids.new_id(), project_id=self.context.project_id,
                                    user_id=self.context.user_id, volume_id=volume_id, size_gib=2,
                                    **{**where, **values}))
        if there:
            self.nodes.backups.setdefault(STORE, set()).add(backup_id)
        return backup_id

    def attachment(self, volume_id: str, *, protocol: str | None, server: bool = True) -> str:
        """Write an attachment (connected, unless `protocol` is None), to a server on host1; returns its id."""
        server_id = self.add(Server(
            id=ids.new_id(), name="s", project_id=self.context.project_id, user_id=self.context.user_id,
            vm_state="active", flavor_id=ids.new_id(), vcpus=1, ram_mib=64, root_gib=1,
            host_id=self.host_id)) if server else None
        connection = ConnectionSpec(protocol=protocol).to_wire() if protocol else {}
        attachment_id = self.add(VolumeAttachment(
            id=ids.new_id(), volume_id=volume_id, server_id=server_id, connection=connection,
            state=volume_states.ATTACHED if protocol else volume_states.RESERVED, connector={"host": "away"}))
        if protocol:
            self.nodes.connections.setdefault(("node1", "b1"), {})[attachment_id] = volume_id
        return attachment_id

    def volume_type(self, **extra_specs: str) -> str:
        """Write a volume type; returns its id."""
        return self.add(VolumeType(id=ids.new_id(), name=ids.new_id(), extra_specs=extra_specs))

    def accept(self, kind: str, resource_id: str, also_lock: tuple[tuple[str, str], ...] = (),
               **arguments: Any) -> str:
        """Write a pending operation; returns its id."""
        row = KINDS[kind]
        return self.db.write(lambda session: accept(
            session, self.context, row, Target(row.resources[0], resource_id), row.arguments(**arguments),
            also_lock=[Target(*other) for other in also_lock]).id)

    def run(self, operation_id: str) -> Any:
        """Claim and run an operation once, when it is due."""
        held = lease.claim(self.db, operation_id, "tester", 30)
        assert held is not None
        return self.runner.run(held)

    def finish(self, operation_id: str) -> str:
        """Run an operation, through crashes and waits, to its end; returns its state."""
        for _ in range(30):
            with suppress(Killed):
                self.run(operation_id)
            operation = self.one(Operation, operation_id)
            if operation.state in operation_states.FINISHED:
                return str(operation.state)
            self.let_pass(operation_id)
        raise AssertionError("the operation does not end")

    def let_pass(self, operation_id: str, *, patience: bool = False, silent_s: float = 0) -> None:
        """Let the lease and delays of an operation be past; with `patience`, that of waiting, too; with `silent_s`,
        have it wait for so long."""
        def work(session: orm.Session) -> None:
            row = session.get_one(Operation, operation_id)
            row.lease_until = row.not_before = row.created_at
            if patience and row.waiting_since is not None:
                row.waiting_since = row.waiting_since.replace(year=2000)
            if silent_s:
                row.waiting_since = self.db.now() - dt.timedelta(seconds=silent_s)

        self.db.write(work)

    def one(self, model: Any, identity: str) -> Any:
        """Return a row."""
        with self.db.reading() as session:
            return session.get(model, identity)

    def used(self) -> dict[str, int]:
        """Return what is claimed of each back end by name."""
        with self.db.reading() as session:
            used = backend_claims.used_gib(session)
        return {name: used.get(backend_id, 0) for name, backend_id in self.backends.items()}

    def reconcile(self) -> None:
        """Let every node ask what to remove, and do so."""
        for node in ("node1", "node2"):
            self.nodes.obey(node, volume_reconcile.plan(self.cloud, node, self.nodes.inventory(node)))

    def check(self) -> None:
        """Nothing is locked, and what the nodes hold is what the records say."""
        with self.db.reading() as session:
            assert session.scalar(sa.select(sa.func.count()).select_from(Lock)) == 0
            volumes = session.execute(sa.select(Volume.id, Volume.backend_id, Volume.target_backend_id).where(
                Volume.deleted_at.is_(None))).all()
            snapshots = set(session.scalars(sa.select(Snapshot.id).where(
                Snapshot.deleted_at.is_(None), Snapshot.state != volume_states.ERROR)))
            backups = set(session.scalars(sa.select(Backup.id).where(
                Backup.deleted_at.is_(None), Backup.state != volume_states.ERROR)))
            attachments = session.execute(sa.select(VolumeAttachment.connected_as, VolumeAttachment.connection)).all()
        assert all(row.target_backend_id is None for row in volumes)
        name_of = {backend_id: name for name, backend_id in self.backends.items()}
        recorded = {(row.id, name_of[row.backend_id]) for row in volumes if row.backend_id is not None}
        assert {(volume_id, backend) for (_, backend), kept in self.nodes.volumes.items() for volume_id in kept} \
            == recorded
        assert {key for kept in self.nodes.snapshots.values() for key in kept} == snapshots
        assert {key for kept in self.nodes.backups.values() for key in kept} == backups
        assert {key for kept in self.nodes.connections.values() for key in kept} \
            == {row.connected_as for row in attachments if row.connection}

    def close(self) -> None:
        """Close the database."""
        self.db.dispose()


Scenario = Callable[[VolumeRig], str]  # prepares; returns the operation's id
