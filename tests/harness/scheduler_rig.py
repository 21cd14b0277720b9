"""A cloud on paper (snapshots without a database) and a cloud in SQLite."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from hostler import clock, conf, ids
from hostler.db.engine import Database
from hostler.db.models import Domain, Host, Project, Server, ServerGroup, ServerGroupMember, Zone
from scheduler.backend_chooser import BackendChooser
from scheduler.backend_plan import BackendSelector
from scheduler.manager import SchedulerManager
from scheduler.plan import Selector
from scheduler.request import Request
from scheduler.snapshot import AggregateState, Category, Snapshot
from scheduler.store import Store
from tests.harness import chosen_database, databases
from tests.harness import scheduler_parts as parts

Aggregates = tuple[tuple[dict[str, str], tuple[int, ...]], ...]  # metadata and rows


def make_snapshot(*hosts: dict[str, Any], aggregates: Aggregates = ()) -> Snapshot:
    """Return a snapshot of hosts h0, h1, …; each is 8 vcpus, 8,192 MiB, 100 GiB, free and up unless it says else."""
    size = len(hosts)
    traits = {trait for host in hosts for trait in host.get("traits", ())}

    def column(key: str, default: Any) -> Any:
        return np.array([host.get(key, default) for host in hosts], dtype=type(default))

    def amounts(key: str, default: tuple[int, int, int]) -> Any:
        return np.array([host.get(key, default) for host in hosts], dtype=np.int64).reshape(-1, 3).T.copy()

    return Snapshot(
        read_at=1000.0, ids=tuple(f"id{row}" for row in range(size)), names=tuple(f"h{row}" for row in range(size)),
        row_of={f"id{row}": row for row in range(size)}, row_named={f"h{row}": row for row in range(size)},
        generation=np.zeros(size, dtype=np.int64),
        capacity=amounts("capacity", (8, 8192, 100)), used=amounts("used", (0, 0, 0)),
        enabled=column("enabled", True), in_service=column("in_service", True),
        last_seen=column("last_seen", 1000.0), up=column("up", True),
        silent=column("silent", False), zone=Category.of([host.get("zone", "nova") for host in hosts]),
        arch=Category.of([host.get("arch", "x86_64") for host in hosts]),
        hypervisor_type=Category.of([host.get("hypervisor_type", "QEMU") for host in hosts]),
        traits={trait: np.array([trait in host.get("traits", ()) for host in hosts]) for trait in traits},
        aggregates=tuple(AggregateState(metadata, np.array(rows, dtype=np.intp)) for metadata, rows in aggregates),
        io_ops=column("io_ops", 0), build_failures=column("build_failures", 0))


def make_request(**values: Any) -> Request:
    """Return a request for one vcpu, 512 MiB and 1 GiB."""
    return Request(**{"consumer_id": ids.new_id(), "vcpus": 1, "ram_mib": 512, "disk_gib": 1, **values})


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    """An empty database."""
    database = databases.opened(chosen_database.url_of(tmp_path / "cloud.db"))
    yield database
    database.dispose()


@pytest.fixture
def add_hosts(db: Database) -> Callable[..., list[str]]:
    """A function that adds hosts and returns their ids."""

    def add(count: int, zone: str = "nova", **values: Any) -> list[str]:
        def work(session: Any) -> list[str]:
            zone_id = session.scalar(sa.select(Zone.id).where(Zone.name == zone))
            if zone_id is None:
                zone_id = ids.new_id()
                session.add(Zone(id=zone_id, name=zone))
                session.flush()
            start = session.scalar(sa.select(sa.func.count()).select_from(Host))
            hosts = [Host(id=ids.new_id(), name=f"h{number}", number=number + 1, zone_id=zone_id,
                          **{"vcpus": 4, "ram_mib": 8192, "disk_gib": 100, "last_seen_at": clock.utcnow(), **values})
                     for number in range(start, start + count)]
            session.add_all(hosts)
            session.flush()
            return [host.id for host in hosts]

        return db.write(work)

    return add


@pytest.fixture
def manager(db: Database) -> SchedulerManager:
    """A scheduler on the database with every filter and weigher."""
    return make_manager(db)


def make_manager(db: Database, **overrides: object) -> SchedulerManager:
    """Return a scheduler; `overrides` are options of `[scheduler]`."""
    options = conf.load([], config_files=[],
                        overrides={f"scheduler.{name}": value for name, value in overrides.items()})
    selector = Selector(parts.FILTERS, {name: (one, 1.0) for name, one in parts.WEIGHERS.items()})
    return SchedulerManager(db, Store(options, db), selector, make_chooser(db),
                            max_claim_attempts=options.scheduler.max_claim_attempts)


def make_chooser(db: Database, **overrides: object) -> BackendChooser:
    """Return a chooser of back ends with the default filters in their order."""
    options = conf.load([], config_files=[], overrides=overrides)
    filters = {name: parts.BACKEND_FILTERS[name] for name in options.scheduler.backend_filters}
    weighers = {name: (one, 1.0) for name, one in parts.BACKEND_WEIGHERS.items()}
    return BackendChooser(options, db, BackendSelector(filters, weighers))


@pytest.fixture
def make_group(db: Database) -> Callable[[str, int], list[str]]:
    """A function that makes a server group with members and returns the members' ids."""

    def make(policy: str, members: int) -> list[str]:
        def work(session: Any) -> list[str]:
            domain = Domain(id=ids.new_id(), name="d")
            project = Project(id=ids.new_id(), name="p", domain_id=domain.id)
            group = ServerGroup(id=ids.new_id(), name="g", project_id=project.id, user_id=ids.new_id(), policy=policy)
            servers = [Server(id=ids.new_id(), name=f"s{number}", project_id=project.id, user_id=ids.new_id(),
                              vm_state="building", flavor_id=ids.new_id(), vcpus=1, ram_mib=512, root_gib=1)
                       for number in range(members)]
            for rows in ([domain], [project], [group, *servers],
                         [ServerGroupMember(group_id=group.id, server_id=server.id) for server in servers]):
                session.add_all(rows)
                session.flush()
            return [server.id for server in servers]

        return db.write(work)

    return make
