"""The same cloud on each database: schema, a burst of servers, lists in pages, and quota under a race."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from hostler import conf as hostler_conf
from hostler import errors, ids
from hostler.db import schema, version
from hostler.db.engine import Database
from hostler.db.models import Base, Domain, Project, QuotaLimit, Server
from hostler.resources import quota
from tests.harness import databases, invariants
from tests.harness.client import Client
from tests.harness.inprocess import Cloud
from tests.harness.ports import wait_for

SERVERS = 20
RACERS = 50
LIMIT = 10


@pytest.fixture(scope="module", params=databases.KINDS)
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an empty database, one server a kind."""
    missing = databases.missing(request.param)
    if missing:
        pytest.skip(missing)
    with databases.running(request.param, tmp_path_factory.mktemp(request.param)) as found:
        yield found


@pytest.fixture
def db(url: str) -> Iterator[Database]:
    """The database, emptied and brought to the newest schema."""
    database = Database(url)
    _empty(database)
    schema.upgrade(database)
    yield database
    database.dispose()


def _empty(database: Database) -> None:
    found = sa.MetaData()
    found.reflect(database.engine)
    found.drop_all(database.engine)


def test_the_migrations_make_what_the_models_say(db: Database) -> None:
    assert version.current(db) == version.newest()
    schema.upgrade(db)
    inspector = sa.inspect(db.engine)
    for table in Base.metadata.sorted_tables:
        columns = {column["name"]: column for column in inspector.get_columns(table.name)}
        assert columns.keys() == {column.name for column in table.columns}, table.name
        assert {name for name, column in columns.items() if not column["nullable"]} == {
            column.name for column in table.columns if not column.nullable}, table.name


def test_a_cloud_works_on_it(db: Database, url: str, tmp_path: Path) -> None:
    cloud = Cloud(tmp_path, hosts=2, overrides={
        "database.connection": url, "quota.instances": 100, "quota.cores": 100, "quota.ports": 100,
        # Twenty creates queue for their project's row.
        "database.lock_timeout": 30, "database.patience": 60})
    client = cloud.start()
    try:
        image = client.make_image()
        server_ids = _create_at_once(cloud, client, image)
        for server_id in server_ids:
            client.wait_server(server_id, "ACTIVE", timeout_s=90)
        _rest(cloud)
        _check_lists(client, server_ids)
        _check_addresses(client)
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda server_id: _login(cloud).delete(f"/compute/v2.1/servers/{server_id}"),
                                    server_ids))
        assert {answer.status_code for answer in answers} == {204}
        for server_id in server_ids:
            client.wait_gone(server_id)
        _rest(cloud)
        used = client.get("/compute/v2.1/limits").json()["limits"]["absolute"]
        assert (used["totalInstancesUsed"], used["totalCoresUsed"], used["totalRAMUsed"]) == (0, 0, 0)
    finally:
        cloud.stop()


def _login(cloud: Cloud) -> Client:
    client = Client(cloud.url, "admin", "secret", "admin")
    client.login()
    return client


def _create_at_once(cloud: Cloud, client: Client, image: str) -> list[str]:
    # A session of `requests` is one connection: each of the requests at once has its own.
    clients = [_login(cloud) for _ in range(8)]
    with ThreadPoolExecutor(len(clients)) as pool:
        return list(pool.map(
            lambda number: clients[number % len(clients)].create_server(
                image, f"server-{number:02}", metadata={"even": str(number % 2 == 0)}), range(SERVERS)))


def _check_lists(client: Client, server_ids: list[str]) -> None:
    def names(query: str) -> list[str]:
        return [server["name"] for server in client.get(f"/compute/v2.1/servers/detail?{query}").json()["servers"]]

    every = [f"server-{number:02}" for number in range(SERVERS)]
    assert sorted(names("")) == every
    assert names("sort_key=display_name&sort_dir=asc") == every
    assert names("sort_key=display_name&sort_dir=desc&limit=3") == every[:-4:-1]
    assert sorted(names("name=^server-0")) == every[:10]
    assert names("name=SERVER-0") == [], "case counts, on every database"
    assert names("name=server-07&status=ACTIVE") == ["server-07"]
    assert names("status=SHUTOFF") == []
    paged: list[str] = []
    marker = ""
    while page := client.get(f"/compute/v2.1/servers?limit=7{marker}").json()["servers"]:
        assert len(page) <= 7
        paged += [server["id"] for server in page]
        marker = f"&marker={page[-1]['id']}"
    assert sorted(paged) == sorted(server_ids), "each server is in one page, once"


def _check_addresses(client: Client) -> None:
    servers = client.get("/compute/v2.1/servers/detail").json()["servers"]
    addresses = [address["addr"] for server in servers for address in server["addresses"]["default"]]
    assert len(addresses) == len(set(addresses)) == SERVERS


def _rest(cloud: Cloud) -> None:
    def faults() -> list[str]:
        found = invariants.database_faults(cloud.db)
        for name in cloud.agents:
            found += invariants.host_faults(cloud.db, name, cloud.directory / name)
        return found

    wait_for(lambda: not faults(), f"rest; still: {faults()}", timeout_s=30, every_s=0.2)


def test_a_quota_is_never_exceeded_in_a_race(db: Database) -> None:
    project_id = db.write(_make_project)
    conf: Any = hostler_conf.load([], config_files=[])
    barrier = threading.Barrier(RACERS)

    def take(number: int) -> bool:
        def work(session: Any) -> None:
            quota.claim(db, session, conf, project_id, {"instances": 1, "cores": 1, "ram": 64})
            session.add(Server(id=ids.new_id(), name=f"s{number}", project_id=project_id, user_id=ids.new_id(),
                               vm_state="building", flavor_id=ids.new_id(), vcpus=1, ram_mib=64, root_gib=1))

        barrier.wait()
        try:
            db.write(work)
        except errors.QuotaExceeded:
            return False
        return True

    with ThreadPoolExecutor(RACERS) as pool:
        taken = list(pool.map(take, range(RACERS)))
    assert sum(taken) == LIMIT
    with db.reading() as session:
        assert quota.usage(session, project_id, ["instances"]) == {"instances": LIMIT}


def _make_project(session: Any) -> str:
    domain = Domain(id=ids.new_id(), name="d")
    session.add(domain)
    session.flush()
    project = Project(id=ids.new_id(), name="p", domain_id=domain.id)
    session.add(project)
    session.flush()
    session.add(QuotaLimit(project_id=project.id, resource="instances", hard_limit=LIMIT))
    return project.id
