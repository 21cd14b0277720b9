"""A database with two projects, a network of each kind, and ways to make servers and hosts."""

from __future__ import annotations

import dataclasses
import ipaddress
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from oslo_config import cfg
from sqlalchemy import event

from hostler import conf as hostler_conf
from hostler import ids
from hostler.context import RequestContext
from hostler.db.engine import Database
from hostler.db.models import Domain, Host, Network, Project, Server, Subnet, User, Zone
from hostler.resources.network import sharing
from tests.harness import chosen_database, databases

DEMO = "11111111-1111-4111-8111-111111111111"
OTHER = "22222222-2222-4222-8222-222222222222"
USER = "33333333-3333-4333-8333-333333333333"


@dataclasses.dataclass
class Cloud:
    """A database and the few things that tests write into it by hand."""

    db: Database
    conf: cfg.ConfigOpts
    host_id: str = ""

    def context(self, project_id: str = DEMO, *roles: str) -> RequestContext:
        """Return a caller of `project_id`; a member when no role is given."""
        return RequestContext(project_id=project_id, user_id=USER, roles=list(roles or ("member", "reader")),
                              is_admin="admin" in roles)

    def network(self, cidr: str | None = "10.0.0.0/24", project_id: str = DEMO, **values: Any) -> str:
        """Write a network, with one subnet when `cidr` is given, and return its id."""
        shared = values.pop("shared", False)
        network = Network(id=ids.new_id(), name="net", project_id=project_id, **values)

        def work(session: Any) -> None:
            session.add(network)
            session.flush()
            sharing.set_shared(session, network, shared)

        self.db.write(work)
        if cidr:
            self.subnet(network.id, cidr, project_id)
        return network.id

    def subnet(self, network_id: str, cidr: str, project_id: str = DEMO, **values: Any) -> str:
        """Write a subnet whose pool is the whole block and return its id."""
        block = ipaddress.ip_network(cidr)
        values.setdefault("gateway_ip", str(block[1]))
        values.setdefault("dhcp_ip", str(block[2]))
        subnet = Subnet(id=ids.new_id(), name="sub", project_id=project_id, network_id=network_id, cidr=cidr,
                        ip_version=block.version,
                        allocation_pools=[{"start": str(block[0]), "end": str(block[-1])}], **values)
        self.db.write(lambda session: session.add(subnet))
        return subnet.id

    def server(self, project_id: str = DEMO) -> str:
        """Write a server's row and return its id."""
        server = Server(id=ids.new_id(), name="vm", hostname="vm", project_id=project_id, user_id=USER,
                        vm_state="building", flavor_id="f", vcpus=1, ram_mib=64, root_gib=1)
        self.db.write(lambda session: session.add(server))
        return server.id

    def count(self, model: Any, *criteria: Any) -> int:
        """Return how many rows of `model` match."""
        with self.db.reading() as session:
            return session.execute(sa.select(sa.func.count()).select_from(model).where(*criteria)).scalar_one()


def make_cloud(url: str, state_path: Path) -> Cloud:
    """Return an empty cloud of two projects and one host in the empty database at `url`."""
    conf = hostler_conf.load(config_files=[], overrides={"state_path": str(state_path)})
    cloud = Cloud(databases.opened(url), conf)

    def fill(session: Any) -> None:
        session.add(Domain(id="default", name="Default"))
        session.flush()
        session.add_all([Project(id=DEMO, name="demo", domain_id="default"),
                         Project(id=OTHER, name="other", domain_id="default"),
                         User(id=USER, name="demo", domain_id="default")])
        zone = Zone(id=ids.new_id(), name="nova")
        session.add(zone)
        session.flush()
        host = Host(id=ids.new_id(), name="host1", number=1, zone_id=zone.id)
        session.add(host)
        session.flush()
        cloud.host_id = host.id

    cloud.db.write(fill)
    return cloud


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    """Yield an empty cloud on SQLite."""
    cloud = make_cloud(chosen_database.url_of(tmp_path / "test.db"), tmp_path)
    yield cloud
    cloud.db.dispose()


class Statements:
    """Counts the SQL statements of an engine."""

    def __init__(self, engine: sa.Engine) -> None:
        self.texts: list[str] = []
        event.listen(engine, "before_cursor_execute", self._note)

    def _note(self, _connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        self.texts.append(statement)

    def __len__(self) -> int:
        return len(self.texts)


@pytest.fixture
def statements(cloud: Cloud) -> Statements:
    """Return a counter of the SQL statements from now on."""
    return Statements(cloud.db.engine)
