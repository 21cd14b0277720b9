"""A conductor whose host and scheduler do what the test says."""

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
from hostler import conf as hostler_conf
from hostler import errors, ids
from hostler.context import RequestContext
from hostler.db.engine import Database
from hostler.db.models import (
    Allocation,
    Domain,
    Host,
    Lock,
    Operation,
    Project,
    Server,
    Zone,
)
from hostler.db.moments import now
from hostler.operations import lease
from hostler.operations.accept import Target, accept
from hostler.operations.kinds.registry import KINDS
from hostler.resources.server import allocations
from scheduler.rpcapi import Choice, Request
from tests.harness import chosen_database, databases


class ScriptedHost:
    """A host and a scheduler that do what the test says; `calls` is what they were asked."""

    def __init__(self, db: Database, host_id: str) -> None:
        self.calls: list[str] = []
        self.fail: dict[str, list[BaseException]] = {}
        self._db = db
        self._host_id = host_id

    def _step(self, name: str) -> None:
        self.calls.append(name)
        if self.fail.get(name):
            raise self.fail[name].pop(0)

    def select_host(self, _context: Any, request: Request) -> Choice:
        self._step("select_host")
        if request.excluded_hosts:
            raise errors.NoValidHost(reason="There are not enough hosts available.", removed={}, retry=False)

        def work(session: orm.Session) -> None:
            if session.get(Allocation, (request.consumer_id, self._host_id)) is None:
                allocations.claim(session, consumer_id=request.consumer_id, host_id=self._host_id,
                                  expected_generation=None, vcpus=1, ram_mib=64, disk_gib=1)

        self._db.write(work)
        return Choice(host_id=self._host_id, host="host1", zone="nova")

    def spawn_server(self, _context: Any, _host: str, _spec: Any, _groups: Any) -> dict[str, Any]:
        self._step("spawn_server")
        return {"power_state": "running"}

    def destroy_server(self, *_arguments: Any) -> None:
        self._step("destroy_server")

    def inject_nmi(self, *_arguments: Any) -> None:
        self._step("inject_nmi")

    def stop_server(self, *_arguments: Any) -> dict[str, Any]:
        self._step("stop_server")
        return {"power_state": "shutdown"}


class Rig:
    """What the tests work with."""

    def __init__(self, directory: Path) -> None:
        self.conf = hostler_conf.load([], config_files=[], overrides={
            "database.connection": chosen_database.url_of(directory / "test.db"), "state_path": str(directory),
            "conductor.retry_delay": 0.05, "conductor.agent_patience": 1, "database.sqlite_synchronous": "OFF"})
        self.db = databases.prepare(Database.from_conf(self.conf))
        self.context = RequestContext(user_id=ids.new_id(), project_id=ids.new_id(), roles=["member"],
                                      request_id=f"req-{ids.new_id()}")
        self.host_id = self.db.write(self._seed)
        self.host = ScriptedHost(self.db, self.host_id)
        self.cloud = CloudAccess(self.conf, self.db, self.host, self.host, mock.Mock(), mock.Mock())  # type: ignore[arg-type]
        self.slots = Slots(limit=2)
        self.stopping = False
        self.runner = Runner(self.cloud, self.slots, lambda: self.stopping)

    def _seed(self, session: orm.Session) -> str:
        session.add(Domain(id="default", name="Default"))
        zone = Zone(name="nova")
        session.add(zone)
        session.flush()
        session.add(Project(id=self.context.project_id, name="p", domain_id="default"))
        host = Host(name="host1", number=1, zone_id=zone.id, vcpus=8, ram_mib=8192, disk_gib=100)
        session.add(host)
        session.flush()
        return host.id

    def accept(self, kind: str, server_id: str | None = None, **arguments: Any) -> tuple[str, str]:
        """Write a server (when none is named) and a pending operation; returns their ids."""
        def work(session: orm.Session) -> tuple[str, str]:
            identity = server_id or ids.new_id()
            if server_id is None:
                session.add(Server(id=identity, name="one", project_id=self.context.project_id,
                                   user_id=self.context.user_id, vm_state="building", flavor_id=ids.new_id(),
                                   vcpus=1, ram_mib=64, root_gib=1))
                session.flush()
            row = KINDS[kind]
            operation = accept(session, self.context, row, Target("server", identity), row.arguments(**arguments))
            return identity, operation.id

        return self.db.write(work)

    def claim(self, operation_id: str, lease_s: float = 30) -> lease.Claim:
        """Claim an operation."""
        held = lease.claim(self.db, operation_id, "tester", lease_s)
        assert held is not None
        return held

    def run(self, operation_id: str) -> HandOver | None:
        """Claim and run an operation once."""
        return self.runner.run(self.claim(operation_id))

    def one(self, model: Any, identity: str) -> Any:
        """Return a row."""
        with self.db.reading() as session:
            return session.get(model, identity)

    def count(self, model: Any) -> int:
        """Return the number of rows."""
        with self.db.reading() as session:
            return int(session.scalar(sa.select(sa.func.count()).select_from(model)) or 0)

    def expire(self, operation_id: str) -> None:
        """Let the lease run out, as if the conductor had died."""
        def work(session: orm.Session) -> None:
            row = session.get_one(Operation, operation_id)
            row.lease_until = row.created_at

        self.db.write(work)

    def expire_delay(self, operation_id: str) -> None:
        """Let the delay of an operation that was handed over be past."""
        def work(session: orm.Session) -> None:
            row = session.get_one(Operation, operation_id)
            row.not_before = now(-1.0)  # type: ignore[assignment]

        self.db.write(work)

    def assert_at_rest(self) -> None:
        """Nothing locked."""
        assert self.count(Lock) == 0


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.db.dispose()


