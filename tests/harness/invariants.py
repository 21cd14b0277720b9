"""What must hold in a cloud at rest, whatever happened to it before."""

from __future__ import annotations

import json
from pathlib import Path

import sqlalchemy as sa

from hostler.db.engine import Database
from hostler.db.models import Allocation, FixedIp, Host, Lock, Operation, Port, Server
from hostler.operations import states

_SETTLED = ("active", "stopped", "paused", "suspended", "error")

def database_faults(db: Database) -> list[str]:
    """Return what is wrong with the records: unfinished operations, locks, claims, ports, addresses."""
    faults: list[str] = []
    with db.reading() as session:
        faults += [f"operation {row.id} {row.kind} is {row.state}" for row in session.execute(
            sa.select(Operation.id, Operation.kind, Operation.state)
            .where(Operation.state.in_(states.UNFINISHED)))]
        faults += [f"lock on {row.resource_id} by {row.kind}" for row in session.execute(
            sa.select(Lock.resource_id, Lock.kind))]
        servers = {row.id: row for row in session.execute(
            sa.select(Server.id, Server.vm_state, Server.host_id, Server.fault, Server.vcpus, Server.ram_mib)
            .where(Server.deleted_at.is_(None)))}
        claims = {(row.consumer_id, row.host_id): row for row in session.execute(sa.select(
            Allocation.consumer_id, Allocation.host_id, Allocation.vcpus, Allocation.ram_mib))}
        held = {(row.id, row.host_id): row for row in servers.values() if row.host_id}
        faults += [f"claim {key} without a server" for key in claims.keys() - held.keys()]
        faults += [f"server {key} without a claim" for key in held.keys() - claims.keys()]
        faults += [f"claim {key} has other amounts than its server" for key in claims.keys() & held.keys()
                   if (claims[key].vcpus, claims[key].ram_mib) != (held[key].vcpus, held[key].ram_mib)]
        for row in servers.values():
            if row.vm_state not in _SETTLED:
                faults.append(f"server {row.id} is {row.vm_state}")
            if row.vm_state == "error" and not row.fault:
                faults.append(f"server {row.id} is in error without a fault")
        faults += [f"port {row.id} of gone server {row.server_id}" for row in session.execute(
            sa.select(Port.id, Port.server_id).where(Port.server_id.is_not(None)))
            if row.server_id not in servers]
        orphans = session.scalars(sa.select(FixedIp.id).where(FixedIp.port_id.not_in(sa.select(Port.id)))).all()
        faults += [f"address {orphan} of no port" for orphan in orphans]
    return faults


def host_faults(db: Database, host: str, state_path: Path) -> list[str]:
    """Return what is wrong on one fake host: guests and files without a record, and records without a guest."""
    with db.reading() as session:
        rows = session.execute(sa.select(Server.id, Server.vm_state).join(Host, Host.id == Server.host_id)
                               .where(Host.name == host, Server.deleted_at.is_(None))).all()
    wanted = {row.id for row in rows}
    running = {row.id for row in rows if row.vm_state == "active"}
    guests = {path.stem: json.loads(path.read_text())["state"]
              for path in (state_path / "compute" / "fake" / "domains").glob("*.json")}
    folders = {path.name for path in (state_path / "compute" / "servers").iterdir()
               } if (state_path / "compute" / "servers").exists() else set()
    faults = [f"{host}: guest {guest} of no server" for guest in guests.keys() - wanted]
    faults += [f"{host}: files of {folder}, which is no server here" for folder in folders - wanted]
    faults += [f"{host}: server {server} is active without a running guest"
               for server in running if guests.get(server) != "running"]
    return faults
