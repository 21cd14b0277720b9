"""The Compute API alone: its face over a SQLite file, identity and the conductors replaced by doubles."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from falcon import testing
from sqlalchemy import orm

from api import wsgi
from api.openstack.compute import FACE
from api.services import Services
from hostler import clock, conf, errors, ids
from hostler.context import RequestContext
from hostler.db.models import (
    Domain,
    Flavor,
    Host,
    Image,
    Lock,
    Network,
    Operation,
    Project,
    Server,
    Subnet,
    User,
    Volume,
    Zone,
)
from hostler.resources.volume import states as volume_states
from tests.harness import chosen_database, databases
from tests.harness.rules import policy_of

DEMO = "11111111-1111-4111-8111-111111111111"
OTHER = "22222222-2222-4222-8222-222222222222"
USER = "33333333-3333-4333-8333-333333333333"
ADMIN = "44444444-4444-4444-8444-444444444444"
IMAGE = "55555555-5555-4555-8555-555555555555"
NETWORK = "66666666-6666-4666-8666-666666666666"
HOST = "77777777-7777-4777-8777-777777777777"


class FakeIdentity:
    """Tokens are `member`, `reader`, `admin` and `other`."""

    def authenticate_token(self, token: str, *, request_id: str) -> RequestContext:
        """Return the context of one of the four."""
        roles = {"member": ["member", "reader"], "reader": ["reader"], "other": ["member", "reader"],
                 "admin": ["admin", "manager", "member", "reader"]}
        if token not in roles:
            raise errors.Unauthorized()
        return RequestContext(user_id=ADMIN if token == "admin" else USER, roles=roles[token],
                              project_id=OTHER if token == "other" else DEMO, is_admin=token == "admin",
                              request_id=request_id)


class FakeWaker:
    """Remembers what it was to wake."""

    def __init__(self) -> None:
        self.woken: list[str] = []

    def wake(self, _context: RequestContext, *operation_ids: str) -> None:
        """Note the ids."""
        self.woken += operation_ids


class FakeCompute:
    """An agent that answers, or does not."""

    silent = False

    def get_console_output(self, _context: RequestContext, host: str, server_id: str, length: int | None) -> str:
        """Return the last `length` lines of a log of three."""
        if self.silent:
            raise errors.Silent(part="The compute service", host=host)
        lines = ["one", "two", server_id]
        return "\n".join(lines if length is None else lines[-length:] if length else [])

    def get_console(self, _context: RequestContext, host: str, server_id: str, protocol: str,
                    _ttl_s: int) -> dict[str, Any]:
        """Grant any console."""
        if self.silent:
            raise errors.Silent(part="The compute service", host=host)
        return {"token": str(uuid.uuid4()), "host": "127.0.0.1", "port": 1, "path": f"/{server_id}/{protocol}"}

    def get_diagnostics(self, _context: RequestContext, _host: str, _server_id: str) -> dict[str, Any]:
        """Return counters as an agent does."""
        return {"state": "running"}


@dataclasses.dataclass
class Cloud:
    """The api and what stands behind it."""

    client: testing.TestClient
    services: Services
    waker: FakeWaker
    compute: FakeCompute
    version: str = "2.96"

    def call(self, method: str, path: str, body: Any = None, *, token: str = "member", version: str | None = None,
             headers: dict[str, str] | None = None) -> testing.Result:
        """Send one request to /compute/v2.1 + path."""
        sent = {"OpenStack-API-Version": f"compute {version or self.version}", "X-Auth-Token": token, **(headers or {})}
        options = {} if body is None else {"json": body}
        path, _, query = path.partition("?")
        return self.client.simulate_request(method, "/compute/v2.1" + path, headers=sent, query_string=query, **options)

    def get(self, path: str, **options: Any) -> Any:
        """GET that must succeed; returns the body."""
        answer = self.call("GET", path, **options)
        assert answer.status_code == 200, answer.text
        return answer.json

    def boot(self, name: str = "one", **server: Any) -> dict[str, Any]:
        """Create a server; returns what the answer says of it."""
        body = {"server": {"name": name, "flavorRef": "1", "imageRef": IMAGE, "networks": "auto", **server}}
        answer = self.call("POST", "/servers", body)
        assert answer.status_code == 202, answer.text
        return answer.json["server"]

    def act(self, server_id: str, action: str, argument: Any = None, **options: Any) -> testing.Result:
        """POST an action."""
        return self.call("POST", f"/servers/{server_id}/action", {action: argument}, **options)

    def settle(self, server_id: str, **values: Any) -> None:
        """Finish what runs on a server, as a conductor would; `active` on the host by default."""
        def work(session: orm.Session) -> None:
            server = session.get_one(Server, server_id)
            for operation in session.query(Operation).filter_by(resource_id=server_id):
                if operation.state in ("pending", "running"):
                    operation.state, operation.finished_at = "succeeded", clock.utcnow()
            session.query(Lock).filter_by(resource_id=server_id).delete()
            for key, value in {"vm_state": "active", "power_state": "running", "host_id": HOST,
                               "launched_at": clock.utcnow(), **values}.items():
                setattr(server, key, value)
        self.services.db.write(work)

    def running(self, name: str = "one", **server: Any) -> str:
        """Return the id of an active server."""
        server_id: str = self.boot(name, **server)["id"]
        self.settle(server_id)
        return server_id

    def operations(self, server_id: str) -> list[Operation]:
        """Return a server's operations, oldest first."""
        with self.services.db.reading() as session:
            return session.query(Operation).filter_by(resource_id=server_id).order_by(Operation.created_at).all()


def fill(session: orm.Session) -> None:
    """Write two projects, two users, a zone with a host, a flavor, an image and a network."""
    session.add(Domain(id="default", name="Default"))
    session.flush()
    session.add_all([Project(id=DEMO, name="demo", domain_id="default"),
                     Project(id=OTHER, name="other", domain_id="default"),
                     User(id=USER, name="user", domain_id="default"),
                     User(id=ADMIN, name="admin", domain_id="default")])
    zone = Zone(id=ids.new_id(), name="nova")
    session.add(zone)
    session.flush()
    session.add(Host(id=HOST, name="host-1", number=1, zone_id=zone.id, hypervisor_hostname="host-1.local",
                     last_seen_at=clock.utcnow(), vcpus=8, ram_mib=8192, disk_gib=100))
    session.add(Flavor(flavorid="1", name="m1.tiny", vcpus=1, ram_mib=512, root_gib=1))
    session.add(Image(id=IMAGE, name="tiny", project_id=OTHER, status="active", visibility="public",
                      disk_format="qcow2", container_format="bare", size_bytes=1000, virtual_size_bytes=2000,
                      sha256="0" * 64))
    session.add(Network(id=NETWORK, name="net", project_id=DEMO))
    session.flush()
    session.add(Subnet(name="sub", project_id=DEMO, network_id=NETWORK, cidr="10.0.0.0/24", gateway_ip="10.0.0.1",
                       dhcp_ip="10.0.0.2", allocation_pools=[{"start": "10.0.0.3", "end": "10.0.0.254"}]))


def build(directory: Path, overrides: dict[str, object] | None = None, url: str | None = None) -> Cloud:
    """Return a cloud whose files are in `directory`; its database is SQLite unless `url` names another."""
    configuration = conf.load(config_files=[], overrides={
        "state_path": str(directory), "api.operation_wait": 0, **(overrides or {})})
    db = databases.opened(url or chosen_database.url_of(directory / "test.db"), fill)
    db.write(lambda session: session.execute(sa.update(Host).values(last_seen_at=clock.utcnow())))
    waker, compute = FakeWaker(), FakeCompute()
    services = Services(conf=configuration, db=db, identity=FakeIdentity(), images=None, waker=waker,
                        policy=policy_of(configuration, overrides), compute=compute)
    return Cloud(testing.TestClient(wsgi.build(services, [FACE])), services, waker, compute)


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    """A fresh cloud with nothing in it but what `fill` writes."""
    made = build(tmp_path)
    yield made
    made.services.db.dispose()


def make_volume(cloud: Cloud, **values: Any) -> str:
    """Write a volume that is there; returns its id."""
    def work(session: Any) -> str:
        row = Volume(**{"id": ids.new_id(), "name": "v", "project_id": DEMO, "user_id": USER, "size_gib": 1,
                        "claimed_gib": 1, "zone": "nova", "state": volume_states.READY, "bootable": True, **values})
        session.add(row)
        session.flush()
        return row.id

    return cloud.services.db.write(work)


def rows(cloud: Cloud, model: Any) -> list[Any]:
    """Return all rows."""
    with cloud.services.db.reading() as session:
        return list(session.scalars(sa.select(model)))
