"""The Block Storage API's volumes alone: its face over a SQLite file; identity and conductors are doubles."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from falcon import testing
from sqlalchemy import orm

from api import wsgi
from api.openstack.volume import FACE
from api.services import Services
from hostler import clock, conf, errors, ids
from hostler.context import RequestContext
from hostler.db.models import (
    Backend,
    Backup,
    Domain,
    Image,
    Lock,
    Operation,
    Project,
    Snapshot,
    User,
    Volume,
    VolumeAttachment,
    VolumeNode,
    VolumeType,
    Zone,
)
from hostler.operations.accept import Target, accept
from hostler.operations.kinds.registry import KINDS
from tests.harness import chosen_database, databases
from tests.harness.rules import policy_of

DEMO = "11111111-1111-4111-8111-111111111111"
OTHER = "22222222-2222-4222-8222-222222222222"
USER = "33333333-3333-4333-8333-333333333333"
ADMIN = "44444444-4444-4444-8444-444444444444"
IMAGE = "55555555-5555-4555-8555-555555555555"
NODE = "66666666-6666-4666-8666-666666666666"
BACKEND = "77777777-7777-4777-8777-777777777777"
SECOND = "88888888-8888-4888-8888-888888888888"
GIB = 1024 ** 3


class FakeIdentity:
    """Tokens are `member`, `reader`, `admin` and `other`."""

    def authenticate_token(self, token: str, *, request_id: str) -> RequestContext:
        """Return the context of one of the four."""
        if token not in ("member", "reader", "other", "admin"):
            raise errors.Unauthorized()
        return context_of(token, request_id)


def context_of(token: str = "member", request_id: str | None = None) -> RequestContext:
    """Return the context a token stands for."""
    roles = {"member": ["member", "reader"], "reader": ["reader"], "other": ["member", "reader"],
             "admin": ["admin", "manager", "member", "reader"]}
    return RequestContext(user_id=ADMIN if token == "admin" else USER, roles=roles[token],
                          project_id=OTHER if token == "other" else DEMO, is_admin=token == "admin",
                          request_id=request_id or f"req-{ids.new_id()}")


class FakeWaker:
    """Remembers what it was to wake."""

    def __init__(self) -> None:
        self.woken: list[str] = []

    def wake(self, _context: RequestContext, *operation_ids: str) -> None:
        """Note the ids."""
        self.woken += operation_ids


@dataclasses.dataclass
class Cloud:
    """The api and what stands behind it."""

    client: testing.TestClient
    services: Services
    waker: FakeWaker
    version: str = "3.71"

    def call(self, method: str, path: str, body: Any = None, *, token: str = "member", version: str | None = None,
             ) -> testing.Result:
        """Send one request to /volume/v3 + path."""
        sent = {"OpenStack-API-Version": f"volume {version or self.version}", "X-Auth-Token": token}
        options = {} if body is None else {"json": body}
        path, _, query = path.partition("?")
        return self.client.simulate_request(method, "/volume/v3" + path, headers=sent, query_string=query, **options)

    def get(self, path: str, **options: Any) -> Any:
        """GET that must succeed; returns the body."""
        answer = self.call("GET", path, **options)
        assert answer.status_code == 200, answer.text
        return answer.json

    def refused(self, method: str, path: str, body: Any = None, *, status: int, **options: Any) -> str:
        """Send what must be refused with `status`; returns the message."""
        answer = self.call(method, path, body, **options)
        assert answer.status_code == status, answer.text
        ((_, fault),) = answer.json.items()
        assert fault["code"] == status
        return str(fault["message"])

    def create(self, **volume: Any) -> dict[str, Any]:
        """Create a volume; returns what the answer says of it."""
        answer = self.call("POST", "/volumes", {"volume": {"size": 1, **volume}})
        assert answer.status_code == 202, answer.text
        return answer.json["volume"]

    def ready(self, **volume: Any) -> str:
        """Return the id of an available volume on the first back end."""
        volume_id = str(self.create(**volume)["id"])
        self.settle(volume_id)
        return volume_id

    def act(self, volume_id: str, action: str, argument: Any = None, **options: Any) -> testing.Result:
        """POST an action."""
        return self.call("POST", f"/volumes/{volume_id}/action", {action: argument}, **options)

    def settle(self, volume_id: str, **values: Any) -> None:
        """Finish what runs on a volume, as a conductor would; available by default."""
        def work(session: orm.Session) -> None:
            volume = session.get_one(Volume, volume_id)
            for operation in session.query(Operation).filter_by(resource_id=volume_id):
                if operation.state in ("pending", "running"):
                    operation.state, operation.finished_at = "succeeded", clock.utcnow()
            session.query(Lock).filter_by(resource_id=volume_id).delete()
            for key, value in {"state": "available", "backend_id": BACKEND, "launched_at": clock.utcnow(),
                               **values}.items():
                setattr(volume, key, value)
        self.services.db.write(work)

    def add(self, *rows: Any) -> None:
        """Write rows as they are."""
        self.services.db.write(lambda session: session.add_all(rows))

    def attach(self, volume_id: str, state: str = "attached", **values: Any) -> str:
        """Write an attachment; returns its id."""
        attachment_id = ids.new_id()
        self.add(VolumeAttachment(**{"id": attachment_id, "volume_id": volume_id, "state": state, "device": "/dev/vdb",
                                     "attached_at": clock.utcnow(), **values}))
        return attachment_id

    def snapshot(self, volume_id: str, size_gib: int = 1, **values: Any) -> str:
        """Write an available snapshot; returns its id."""
        snapshot_id = ids.new_id()
        self.add(Snapshot(**{"id": snapshot_id, "project_id": DEMO, "user_id": USER, "volume_id": volume_id,
                             "state": "available", "size_gib": size_gib, **values}))
        return snapshot_id

    def backup(self, volume_id: str | None, size_gib: int = 1, **values: Any) -> str:
        """Write an available backup; returns its id."""
        backup_id = ids.new_id()
        self.add(Backup(**{"id": backup_id, "project_id": DEMO, "user_id": USER, "volume_id": volume_id,
                           "state": "available", "size_gib": size_gib, **values}))
        return backup_id

    def volume_type(self, name: str, **values: Any) -> str:
        """Write a volume type; returns its id."""
        type_id = ids.new_id()
        self.add(VolumeType(**{"id": type_id, "name": name, "extra_specs": {}, **values}))
        return type_id

    def busy(self, volume_id: str, kind: str, **arguments: Any) -> None:
        """Let an operation have the volume."""
        row = KINDS[kind]
        self.services.db.write(lambda session: accept(
            session, context_of("admin"), row, Target("volume", volume_id), row.arguments(**arguments)))

    def row(self, volume_id: str) -> Volume:
        """Return a volume's record."""
        with self.services.db.reading() as session:
            return session.get_one(Volume, volume_id)

    def operations(self, resource_id: str) -> list[Operation]:
        """Return a resource's operations, oldest first."""
        with self.services.db.reading() as session:
            return session.query(Operation).filter_by(resource_id=resource_id).order_by(Operation.created_at).all()

    def count(self, model: Any) -> int:
        """Return how many rows a table has."""
        with self.services.db.reading() as session:
            return int(session.query(model).count())


def fill(session: orm.Session) -> None:
    """Write two projects, two users, a zone with a node of two back ends, and an image."""
    session.add(Domain(id="default", name="Default"))
    session.flush()
    session.add_all([Project(id=DEMO, name="demo", domain_id="default"),
                     Project(id=OTHER, name="other", domain_id="default"),
                     User(id=USER, name="user", domain_id="default"),
                     User(id=ADMIN, name="admin", domain_id="default")])
    zone = Zone(id=ids.new_id(), name="nova")
    session.add(zone)
    session.flush()
    session.add(VolumeNode(id=NODE, name="node1", zone_id=zone.id, last_seen_at=clock.utcnow()))
    session.flush()
    for backend_id, name in ((BACKEND, "local"), (SECOND, "second")):
        session.add(Backend(id=backend_id, name=name, node_id=NODE, driver="fake", total_gib=100.0, free_gib=100.0,
                            capabilities={"online_extend": ["file"], "online_snapshot": True}))
    session.add(Image(id=IMAGE, name="tiny", project_id=OTHER, status="active", visibility="public",
                      disk_format="qcow2", container_format="bare", size_bytes=1000, virtual_size_bytes=2 * GIB,
                      min_disk_gib=3, sha256="0" * 64, md5="1" * 32, properties={"os_type": "linux"}))


def build(directory: Path, overrides: dict[str, object] | None = None, url: str | None = None,
          waker: FakeWaker | None = None) -> Cloud:
    """Return a cloud whose files are in `directory`; its database is SQLite unless `url` names another."""
    configuration = conf.load(config_files=[], overrides={"state_path": str(directory), **(overrides or {})})
    db = databases.opened(url or chosen_database.url_of(directory / "test.db"), fill)
    db.write(lambda session: session.execute(sa.update(VolumeNode).values(last_seen_at=clock.utcnow())))
    waker = waker or FakeWaker()
    services = Services(conf=configuration, db=db, identity=FakeIdentity(), images=None, waker=waker,
                        policy=policy_of(configuration, overrides), compute=None)
    return Cloud(testing.TestClient(wsgi.build(services, [FACE])), services, waker)


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    """A fresh cloud with nothing in it but what `fill` writes."""
    made = build(tmp_path)
    yield made
    made.services.db.dispose()
