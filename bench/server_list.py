"""How much CPU a page of 1,000 servers with details costs the api, with 1,000 and with 20,000 servers stored.

The api runs in this process on SQLite, without HTTP's socket. Prints one JSON line a figure.
Usage: python -m bench.server_list
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from falcon import testing
from sqlalchemy import orm

from api import wsgi
from api.openstack.compute import FACE
from api.policies import all_defaults
from api.policy import Policy
from api.services import Services
from hostler import clock, conf, ids
from hostler import gc_tuning as garbage
from hostler.context import RequestContext
from hostler.db.engine import Database
from hostler.db.models import (
    Base,
    Domain,
    FixedIp,
    Host,
    Image,
    Network,
    Port,
    PortSecurityGroup,
    Project,
    SecurityGroup,
    Server,
    Subnet,
    Zone,
)

REPEATS = 10
PAGE = 1000


class OneCaller:
    """Knows one member of one project."""

    def __init__(self, project_id: str) -> None:
        self._project_id = project_id

    def authenticate_token(self, _token: str, *, request_id: str) -> RequestContext:
        """Return that member's context."""
        return RequestContext(user_id=self._project_id, project_id=self._project_id, roles=["member", "reader"],
                              is_admin=False, request_id=request_id)


def store(session: orm.Session, project_id: str, count: int) -> None:
    """Write `count` active servers, each with a port, an address and a security group."""
    zone, host, network, subnet, group, image = (ids.new_id() for _ in range(6))
    session.add(Domain(id="default", name="Default"))
    session.flush()
    session.add_all([Project(id=project_id, name="p", domain_id="default"), Zone(id=zone, name="nova")])
    session.flush()
    session.add_all([Host(id=host, name="h", number=1, zone_id=zone, last_seen_at=clock.utcnow()),
                     Image(id=image, name="i", status="active"),
                     Network(id=network, name="net", project_id=project_id),
                     SecurityGroup(id=group, name="default", project_id=project_id)])
    session.flush()
    session.add(Subnet(id=subnet, project_id=project_id, network_id=network, cidr="10.0.0.0/8"))
    session.flush()
    servers: list[dict[str, Any]] = []
    ports, addresses, members = [], [], []
    for number in range(count):
        server, port = ids.new_id(), ids.new_id()
        servers.append({
            "id": server, "name": f"server-{number}", "project_id": project_id, "user_id": project_id,
            "vm_state": "active", "power_state": "running", "host_id": host, "image_id": image, "flavor_id": zone,
            "vcpus": 1, "ram_mib": 512, "root_gib": 1, "launched_at": clock.utcnow(), "created_at": clock.utcnow(),
            "flavor": {"name": "m1.tiny", "flavorid": "1", "extra_specs": {}}, "extra": {"role": "web"}})
        ports.append({"id": port, "project_id": project_id, "network_id": network, "server_id": server,
                      "mac_address": f"fa:16:3e:{number >> 16:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"})
        addresses.append({"port_id": port, "subnet_id": subnet,
                          "ip_address": f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"})
        members.append({"port_id": port, "group_id": group})
    for model, rows in ((Server, servers), (Port, ports), (FixedIp, addresses), (PortSecurityGroup, members)):
        session.execute(sa.insert(model), rows)


def measure(stored: int) -> dict[str, Any]:
    """Return the cost of one page with `stored` servers."""
    with tempfile.TemporaryDirectory() as directory:
        configuration = conf.load(config_files=[], overrides={"state_path": directory})
        db = Database(f"sqlite:///{Path(directory) / 'bench.db'}")
        Base.metadata.create_all(db.engine)
        project_id = ids.new_id()
        db.write(lambda session: store(session, project_id, stored))
        services: Any = Services(conf=configuration, db=db, policy=Policy(configuration, all_defaults()),
                                 identity=OneCaller(project_id),  # type: ignore[arg-type]
                                 images=None, waker=None, compute=None)  # type: ignore[arg-type]
        client = testing.TestClient(wsgi.build(services, [FACE]))
        headers = {"X-Auth-Token": "t", "OpenStack-API-Version": "compute 2.96"}
        path = "/compute/v2.1/servers/detail"
        answer = client.simulate_get(path, headers=headers)
        assert len(answer.json["servers"]) == PAGE
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(REPEATS):
            client.simulate_get(path, headers=headers)
        cpu_ms = (time.process_time() - cpu) * 1000 / REPEATS
        wall_ms = (time.perf_counter() - wall) * 1000 / REPEATS
        db.dispose()
    return {"name": f"list_1000_servers_detail_{stored}_stored", "value": round(wall_ms, 1), "unit": "ms",
            "cpu_ms_per_op": round(cpu_ms, 1)}


def main() -> int:
    """Print the figures."""
    garbage.calm()
    for stored in (1000, 20000):
        print(json.dumps(measure(stored)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
