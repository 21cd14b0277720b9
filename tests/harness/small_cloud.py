"""The rows that the tests of queries ask about."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any, Final

from sqlalchemy import orm

from hostler import ids
from hostler.db.models import (
    Domain,
    FixedIp,
    Host,
    Network,
    Port,
    Project,
    Server,
    ServerTag,
    Subnet,
    Volume,
    VolumeAttachment,
    Zone,
)

Find = Callable[..., list[str]]  # an expression → the names of the rows it finds, sorted
TIB: Final = 1024
PROJECT: Final = ids.new_id()
SERVERS: Final = {name: ids.new_id() for name in ("app", "db", "web")}


def fill(session: orm.Session) -> None:
    """Write three servers: `db` has a root disk and 2 TiB of data, `web` half a TiB, `app` nothing; `app` is gone from
    its host and has no description."""
    zone, network, subnet = ids.new_id(), ids.new_id(), ids.new_id()
    session.add_all([Domain(id="default", name="Default"), Zone(id=zone, name="nova")])
    session.flush()
    session.add(Project(id=PROJECT, name="p", domain_id="default"))
    hosts = [Host(id=ids.new_id(), name=name, number=number, zone_id=zone) for number, name in enumerate(("h1", "h2"))]
    session.add_all(hosts)
    session.flush()
    session.add(Network(id=network, name="net", project_id=PROJECT, tags=["red", "a b"]))
    session.flush()
    session.add(Subnet(id=subnet, name="sub", project_id=PROJECT, network_id=network, cidr="10.0.0.0/24"))
    for index, (name, server_id) in enumerate(SERVERS.items()):
        session.add(Server(
            id=server_id, name=name, description=None if name == "app" else f"the {name}%", project_id=PROJECT,
            user_id=PROJECT, vm_state="active", host_id=None if name == "app" else hosts[index % 2].id,
            flavor_id=ids.new_id(), vcpus=index + 1, ram_mib=512, root_gib=1, locked=name == "db",
            created_at=dt.datetime(2026, 1, index + 1), extra={"tier": name}))
        session.flush()
        session.add(ServerTag(server_id=server_id, tag=name))
        port = Port(id=ids.new_id(), name=f"port-{name}", project_id=PROJECT, network_id=network, server_id=server_id,
                    mac_address=f"aa:bb:cc:dd:ee:0{index}")
        session.add(port)
        session.flush()
        session.add(FixedIp(port_id=port.id, subnet_id=subnet, ip_address=f"10.0.0.{index + 5}"))
    for server, sizes in (("db", (1, 2 * TIB)), ("web", (TIB // 2,))):
        for number, size in enumerate(sizes):
            _volume(session, f"{server}-{number}", SERVERS[server], size, root=number == 0 and server == "db")


def _volume(session: orm.Session, name: str, server_id: str, size: int, *, root: bool) -> None:
    values: dict[str, Any] = {"bootable": root, "extra": {"kind": "Root" if root else "Data"}}
    volume = Volume(id=ids.new_id(), name=name, project_id=PROJECT, user_id=PROJECT, state="available", size_gib=size,
                    claimed_gib=size, zone="nova", **values)
    session.add(volume)
    session.flush()
    session.add(VolumeAttachment(id=ids.new_id(), volume_id=volume.id, server_id=server_id, state="attached"))
